def test_products_of_arrays_are_arrays():
    x, v = np.array([1.0, 2.0]), np.array([1.0, 0.0])

    def cubes(x):
        return (x**3).sum()

    product = ndl.hvp(cubes, x, v)
    value, tangent = ndl.jvp(cubes, (x,), (v,))
    _, pull_back = ndl.vjp(lambda x: x * x, x)
    for found, expected in (
        (product, [6, 0]), (value, 9), (tangent, 3), (pull_back(v)[0], [2, 0]),
    ):  # fmt: skip
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected)


def test_functions_of_needle_take_arrays():
    matrix, index = np.arange(4.0).reshape(2, 2), np.array([[0, 1], [1, 0]])
    for found, expected in (
        (ndl.linalg.expm(np.zeros((2, 2))), np.eye(2)),
        (ndl.gather(matrix, 0, index), np.take_along_axis(matrix, index, 0)),
        (ndl.take_along_axis(matrix, index, 1), np.take_along_axis(matrix, index, 1)),
        (ndl.pad(np.ones(1), 1), [0, 1, 0]),
        (ndl.repeat(np.ones(1), 2), [1, 1]),
    ):
        np.testing.assert_allclose(found.numpy(), expected)
