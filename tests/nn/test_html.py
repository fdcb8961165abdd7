"""What notebooks show of models."""

from xml.etree import ElementTree

from needle import nn


def lines(model):
    """The lines, by depth."""

    def walk(element, depth):
        if element.tag == "details":
            summary, *children = element
            yield depth, "".join(summary.itertext())
            for child in children:
                yield from walk(child, depth + 1)
        else:
            yield depth, "".join(element.itertext())

    return list(walk(ElementTree.fromstring(model._repr_html_()), 0))


def test_layers_are_a_tree():
    model = nn.Sequential(nn.Linear(4, 3), nn.Residual(nn.ReLU()))
    assert lines(model) == [
        (0, "Sequential() 15 parameters"),
        (1, f"0: Linear({model[0].extra_repr()}) 15 parameters"),
        (1, "1: Residual()"),
        (2, "fn: ReLU()"),
    ]


def test_text_is_escaped():
    class Named(nn.Module):
        def extra_repr(self):
            return "<b> & 'c'"

    assert lines(nn.ModuleDict({"<x>": Named()}))[1] == (1, "<x>: Named(<b> & 'c')")
