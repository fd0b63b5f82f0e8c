"""What a law does not fail for: what other threads of the process do while its examples are made."""

import random
import threading

from hypothesis import given
from hypothesis import strategies as st


@st.composite
def numbers_while_a_pool_connects(draw: st.DrawFn) -> int:
    """Draw a number while another thread takes one of the process's random numbers, as a pool's does when it connects."""
    elsewhere = threading.Thread(target=random.random)
    elsewhere.start()
    elsewhere.join()
    return draw(st.integers())


@given(numbers_while_a_pool_connects())
def test_what_another_thread_takes_at_random_fails_no_law(number: int) -> None:
    assert isinstance(number, int)
