"""Modes as decorators of generator functions and coroutines."""

import asyncio
import inspect
import threading
from contextlib import nullcontext

import pytest


def test_decorated_generator_is_under_the_mode_while_it_runs(switch):
    mode, is_on = switch

    @mode()
    def generate(first):
        """What it says."""
        try:
            received = yield first, is_on()
            yield received, is_on()
        except KeyError:
            yield "caught", is_on()
        return is_on()

    def outer():
        ended.append((yield from generate(1)))

    assert generate.__doc__ == "What it says."
    assert inspect.isgeneratorfunction(generate)
    ended = []
    generator = outer()
    assert next(generator) == (1, True)
    assert not is_on()
    assert generator.send(2) == (2, True)
    assert not is_on()
    assert generator.throw(KeyError) == ("caught", True)
    assert not is_on()
    assert list(generator) == []
    assert ended == [True]
    assert not is_on()


def test_decorated_generator_may_be_closed_by_another_thread(switch):
    mode, is_on = switch
    seen = []

    @mode()
    def generate():
        try:
            yield is_on()
        finally:
            seen.append(is_on())

    generator = generate()
    assert next(generator)

    def close():
        generator.close()
        seen.append(is_on())

    thread = threading.Thread(target=close)
    thread.start()
    thread.join(10)
    assert seen == [True, False]
    assert not is_on()


def test_decorated_coroutine_is_under_the_mode_while_it_runs(switch):
    mode, is_on = switch
    seen = []

    @mode()
    async def work(number):
        seen.append(is_on())
        await asyncio.sleep(0)
        seen.append(is_on())
        try:
            await failing()
        except KeyError:
            seen.append(is_on())
        return number

    async def failing():
        await asyncio.sleep(0)
        raise KeyError

    async def watch():
        for _ in range(5):
            seen.append(is_on())
            await asyncio.sleep(0)

    async def both():
        return await asyncio.gather(work(3), watch(), work(4))

    assert inspect.iscoroutinefunction(work)
    assert asyncio.run(both()) == [3, None, 4]
    assert seen.count(True) == 6
    assert seen.count(False) == 5
    assert not is_on()


@pytest.mark.parametrize("error", [None, ValueError])
def test_decorated_asynchronous_generator_ends(switch, error):
    mode, is_on = switch

    @mode()
    async def generate():
        for number in range(3):
            await asyncio.sleep(0)
            yield number, is_on()
        if error:
            raise error("at the end")

    async def use():
        async for step in generate():
            steps.append(step)

    steps = []
    with pytest.raises(error, match="at the end") if error else nullcontext():
        asyncio.run(asyncio.wait_for(use(), 10))
    assert steps == [(0, True), (1, True), (2, True)]
    assert not is_on()


def test_decorated_asynchronous_generator_is_under_the_mode_while_it_runs(switch):
    mode, is_on = switch

    @mode()
    async def generate():
        received = 0
        try:
            while True:
                await asyncio.sleep(0)
                try:
                    received = yield received, is_on()
                except KeyError:
                    received = "caught"
        finally:
            seen.append(is_on())

    async def use():
        generator = generate()
        for action, argument in (
            (generator.asend, None), (generator.asend, 5), (generator.athrow, KeyError),
        ):  # fmt: skip
            seen.append(await action(argument))
            assert not is_on()
        await generator.aclose()
        async for _ in generate():
            break

    seen = []
    asyncio.run(use())
    assert seen[:4] == [(0, True), (5, True), ("caught", True), True]
    assert not is_on()
