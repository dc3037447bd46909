"""What the bench on Redis would print: every target names figures that are measured, and the table says what is met.

    python3 -m unittest discover -s bench
"""

import contextlib
import io
import unittest

import delivery


def printed(targets, rounds):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        delivery.report(targets, rounds)
    return out.getvalue()


class Delivery(unittest.TestCase):
    def test_every_target_is_measured(self):
        bench = object.__new__(delivery.Bench)
        bench.keyrail = bench.kombu = bench.celery_node = bench.rusty_celery = None
        measured = {*bench.figures(), "bare latency"}
        for each in delivery.TARGETS:
            self.assertIn(each.ours, measured)
            self.assertIn(each.theirs, measured)
            self.assertFalse(each.least and each.most, each.name)

    def test_a_ratio_is_the_median_of_the_rounds(self):
        target = delivery.Target("x", "a", "b", least=2)
        # A round that was disturbed on one side moves neither the median nor a mean that nobody takes.
        rounds = [{"a": 10, "b": 5}, {"a": 1000, "b": 1}, {"a": 9, "b": 4}, {"a": 7}]
        self.assertEqual(target.ratio(rounds), 2.25)
        self.assertIsNone(target.ratio([{"a": 1}]))

    def test_the_table_says_met_or_missed(self):
        faster = delivery.Target("a rate", "a", "b", least=5)
        shorter = delivery.Target("a time", "t", "u", most=1.25)
        shown = delivery.Target("a figure", "a", "u")
        unmeasured = delivery.Target("nothing", "x", "y", least=1)
        table = printed([faster, shorter, shown, unmeasured], [{"a": 50, "b": 10, "t": 126, "u": 100}])
        self.assertIn("| a rate | at least 5 | 5 | 50 | 10 | met |", table)
        self.assertIn("| a time | at most 1.25 | 1.26 | 126 | 100 | missed |", table)
        self.assertIn("| a figure |  | 0.5 | 50 | 100 |  |", table)
        self.assertNotIn("nothing", table)


if __name__ == "__main__":
    unittest.main()
