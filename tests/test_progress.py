import io

from duo_core.inference.progress import Printer, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_rate_and_time_left_leave_out_what_an_earlier_run_did():
    progress = Progress(done=700, total=1000, earlier=500, seconds=4.0)
    assert (progress.rate, progress.seconds_left) == (50.0, 6.0)
    assert str(progress) == " 70%  700 of 1,000 predictions, 50/s, 0:06 left"


def test_before_the_first_batch_there_is_no_time_left():
    progress = Progress(done=500, total=1000, earlier=500, seconds=0.0)
    assert (progress.rate, progress.seconds_left) == (0.0, None)
    assert str(progress) == " 50%  500 of 1,000 predictions, 0/s"


def test_long_times_are_in_hours():
    assert str(Progress(1, 36_000, 0, 1.0)).endswith("1/s, 9:59:59 left")


def test_on_a_terminal_one_line_is_written_over():
    stream = Terminal()
    printer = Printer(stream)
    for done in (10, 100):
        printer(Progress(done, 100, 0, 1.0))
    first, second = stream.getvalue().split("\r")[1:]
    assert first == " 10%  10 of 100 predictions, 10/s, 0:09 left"
    assert second == "100%  100 of 100 predictions, 100/s, 0:00 left\n"


def test_a_shorter_line_covers_the_one_before():
    stream = Terminal()
    printer = Printer(stream)
    printer(Progress(1, 100_000, 0, 1.0))
    printer(Progress(100_000, 100_000, 0, 1.0))
    lines = stream.getvalue().split("\r")[1:]
    assert len(lines[1].rstrip("\n")) >= len(lines[0])


def test_elsewhere_lines_are_sparse_and_the_last_is_written():
    stream = io.StringIO()
    printer = Printer(stream, every=3600)
    for done in range(1, 101):
        printer(Progress(done, 100, 0, 1.0))
    assert stream.getvalue() == "100%  100 of 100 predictions, 100/s, 0:00 left\n"


def test_lines_come_when_their_time_has_come():
    stream = io.StringIO()
    printer = Printer(stream, every=0)
    for done in (1, 2):
        printer(Progress(done, 100, 0, 1.0))
    assert len(stream.getvalue().splitlines()) == 2
