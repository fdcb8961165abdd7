"""A complete training program to copy from: data, model, loop, evaluation, saved weights.

python examples/custom_loop.py            the digits included in needle, a few seconds
python examples/custom_loop.py --mnist    MNIST, downloaded once or found in $NEEDLE_DATA
"""

import argparse

import needle as ndl
from needle import data, nn, optim


class Classifier(nn.Module):
    def __init__(self, pixels: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(pixels, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(0.1)
        self.out = nn.Linear(hidden, classes)

    def forward(self, images: ndl.Tensor) -> ndl.Tensor:
        x = ndl.relu(self.norm(self.hidden(self.flatten(images))))
        return self.out(self.dropout(x))


parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
parser.add_argument("--mnist", action="store_true", help="train on MNIST instead of Digits")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--save", metavar="FILE", help="write the weights to this file (safetensors)")
options = parser.parse_args()

ndl.manual_seed(0)
dataset = data.MNIST if options.mnist else data.Digits
train_set, test_set = dataset(train=True), dataset(train=False)
batches = data.DataLoader(train_set, batch_size=32, shuffle=True)
test_batches = data.DataLoader(test_set, batch_size=1000)

model = Classifier(train_set[0][0].size, 128, 10)
loss_function = nn.CrossEntropyLoss()
optimizer = optim.AdamW(model.parameters(), lr=0.003)
scheduler = optim.CosineAnnealingLR(optimizer, T_max=options.epochs)

for epoch in range(options.epochs):
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)
        loss.backward(create_graph=False)  # keeps no graph of the gradient
        optimizer.step()
    scheduler.step()

    model.eval()
    with ndl.no_grad():
        correct = sum((model(x).argmax(axis=1) == y).sum().item() for x, y in test_batches)
    print(f"epoch {epoch + 1}: {100 * correct / len(test_set):.2f} % of the test images right")

if options.save:
    ndl.save(model.state_dict(), options.save)  # restore: model.load_state_dict(ndl.load(file))
