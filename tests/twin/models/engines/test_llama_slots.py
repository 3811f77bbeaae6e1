import asyncio

from twin.models.engines.llama_slots import Slots


def run(work):
    return asyncio.run(work)


async def is_waiting(task):
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


def test_slots_are_handed_out_in_order_of_arrival():
    async def work():
        slots = Slots(1, 100)
        first = await slots.take([1], 1)
        second = asyncio.create_task(slots.take([1], 1))
        third = asyncio.create_task(slots.take([1], 1))
        assert await is_waiting(second)
        slots.give_back(first, [1])
        lease = await second
        assert await is_waiting(third)
        slots.give_back(lease, [1])
        await third

    run(work())


def test_room_is_kept_for_prompt_and_answer():
    async def work():
        slots = Slots(3, 10)
        first = await slots.take([1, 2, 3], 3)
        fits = await slots.take([1], 3)
        large = asyncio.create_task(slots.take([1], 1))
        assert await is_waiting(large)
        slots.give_back(fits, [])
        await large
        assert first.tokens == 6

    run(work())


def test_a_large_prompt_is_not_overtaken_for_ever():
    async def work():
        slots = Slots(2, 10)
        running = await slots.take([1], 1)
        large = asyncio.create_task(slots.take([1] * 9, 1))
        small = asyncio.create_task(slots.take([1], 1))
        assert await is_waiting(large)
        assert await is_waiting(small)
        slots.give_back(running, [])
        await large
        assert await is_waiting(small)
        small.cancel()

    run(work())


def test_who_gives_up_leaves_its_place():
    async def work():
        slots = Slots(2, 10)
        running = await slots.take([1], 1)
        large = asyncio.create_task(slots.take([1] * 9, 1))
        small = asyncio.create_task(slots.take([1], 1))
        assert await is_waiting(small)
        large.cancel()
        await small
        slots.give_back(running, [])
        await slots.take([1], 1)

    run(work())


def test_a_lease_that_comes_too_late_is_given_back():
    async def work():
        slots = Slots(1, 10)
        first = await slots.take([1], 1)
        second = asyncio.create_task(slots.take([1], 1))
        assert await is_waiting(second)
        slots.give_back(first, [])  # handed to the second, which is cancelled before it runs
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        async with asyncio.timeout(5):
            await slots.take([1], 1)

    run(work())


def test_a_prompt_gets_the_slot_that_knows_its_beginning():
    async def work():
        slots = Slots(3, 100)
        leases = [await slots.take([1], 1) for _ in range(3)]
        for lease, cached in zip(leases, ([1, 2, 9], [1, 2, 3, 4], [7]), strict=True):
            slots.give_back(lease, cached)
        assert (await slots.take([1, 2, 3, 5], 1)).slot == leases[1].slot
        assert (await slots.take([1, 2, 3, 5], 1)).slot == leases[0].slot

    run(work())


def test_what_another_adapter_has_read_is_not_known():
    async def work():
        slots = Slots(2, 100)
        first = await slots.take([1, 2, 3], 1, adapter=0)
        assert (first.adapter, first.cached) == (0, 0)
        slots.give_back(first, [1, 2, 3, 4])
        same = await slots.take([1, 2, 9], 1, adapter=0)
        assert (same.slot, same.cached) == (first.slot, 2)
        other = await slots.take([1, 2, 3], 1)
        assert (other.slot != first.slot, other.cached) == (True, 0)
        slots.give_back(same, [1, 2, 9])
        base = await slots.take([1, 2, 9], 1)
        assert (base.slot, base.cached) == (first.slot, 0)

    run(work())
