import pytest

from ingest.errors import AuthenticationError
from orchestration.lib.causes import Cause, causes_of
from orchestration.lib.errors import DbtBuildError, LockHeldError


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            AuthenticationError("the token is refused", account="amocrm:main", action="Renew it"),
            3,
            "amocrm:main: the token is refused. Renew it",
        ),
        (LockHeldError("held by process 7"), 5, "held by process 7"),
        (DbtBuildError("test a failed\n  1 | 2"), 4, "test a failed\n  1 | 2"),
        (RuntimeError("first\nsecond"), 1, "RuntimeError: first"),
        (
            RuntimeError("step load failed with exception:\n\n<class 'X'>\n  no such table\n"),
            1,
            "RuntimeError: step load failed with exception: <class 'X'> no such table",
        ),
        (RuntimeError("nothing follows:"), 1, "RuntimeError: nothing follows:"),
        (RuntimeError(""), 1, "RuntimeError: no message"),
    ],
)
def test_error_becomes_its_line_and_exit_code(error, code, text):
    cause = Cause.of(error)
    assert (cause.exit_code, cause.text) == (code, text)


def test_full_disk_is_named_wherever_it_was_met():
    cause = Cause.of(RuntimeError("IO Error: Could not write: No space left on device"))
    assert cause.exit_code == 6
    assert cause.text.startswith("The disk is full")


def test_known_cause_behind_a_wrapper_is_shown():
    try:
        try:
            raise LockHeldError("held by process 7")
        except LockHeldError as inner:
            raise RuntimeError("could not make the resource") from inner
    except RuntimeError as outer:
        cause = Cause.of(outer)
    assert cause.text == "held by process 7"


def test_causes_of_a_run_are_the_words_of_its_errors():
    from dagster import DagsterInstance, job, op

    @op
    def load_one() -> None:
        raise AuthenticationError("the token is refused", account="amocrm:main", action="Renew it")

    @op
    def load_two() -> None:
        raise AuthenticationError("the token is refused", account="amocrm:main", action="Renew it")

    @op
    def load_three() -> None:
        raise ZeroDivisionError("by nothing")

    @job
    def broken() -> None:
        load_one()
        load_two()
        load_three()

    with DagsterInstance.ephemeral() as instance:
        result = broken.execute_in_process(instance=instance, raise_on_error=False)
        causes = causes_of(result.all_events)
    assert sorted((cause.exit_code, cause.text) for cause in causes) == [
        (1, "ZeroDivisionError: by nothing"),
        (3, "amocrm:main: the token is refused. Renew it"),
    ]


def test_a_run_that_a_person_stops_is_interrupted_not_failed():
    import os
    import signal
    import time

    from dagster import DagsterInstance, job, op

    @op
    def stopped() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    @job
    def long_work() -> None:
        stopped()

    with DagsterInstance.ephemeral() as instance:
        result = long_work.execute_in_process(instance=instance, raise_on_error=False)
    causes = causes_of(result.all_events)
    assert [cause.is_interrupt for cause in causes] == [True]
    assert {cause.exit_code for cause in [*causes, Cause.of_interrupt()]} == {130}
