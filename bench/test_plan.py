"""What the bench would print: every target is measured by a row, and the table says what is met and what is missed.

    python3 -m unittest discover -s bench
"""

import contextlib
import io
import unittest

import plan
import run


def records(rounds, ns=lambda row, engine: 100.0, agrees=lambda row, engine: True):
    """What measuring every row would leave behind."""
    for each in range(rounds):
        for row in plan.rows():
            for engine in row.engines:
                yield {
                    "row": row.name, "engine": engine, "round": each, "semantics": "amqp", "agrees": agrees(row, engine),
                    "median_ns": ns(row, engine) * (each + 1), "bytes_per_binding": 150, "build_ms": 1.0,
                }


def printed(records):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        wrong = run.report(list(plan.rows()), list(records))
    return wrong, out.getvalue()


class Plan(unittest.TestCase):
    def test_every_engine_is_called_somehow(self):
        known = {*plan.RUST, *plan.JAVASCRIPT, *plan.PYTHON, *plan.WASM, *plan.THREADS}
        used = {engine for row in plan.rows() for engine in row.engines}
        self.assertEqual(used - known, set())
        self.assertEqual(known - used, set())

    def test_the_names_of_keyrails_line_become_those_of_the_results(self):
        for name, expected in [("bytesPerBinding", "bytes_per_binding"), ("digest200", "digest200"), ("n", "n")]:
            self.assertEqual(run.snake(name), expected)

    def test_every_target_is_measured(self):
        for engines in (lambda row: row.engines, plan.aimed):
            measured = {
                (row.name, engine): {"ns": 100.0, "ratio": 2.0, "bytes_per_binding": 150}
                for row in plan.rows() for engine in [*engines(row), *row.recorded]
            }
            targets = list(plan.targets(measured))
            self.assertGreaterEqual(len(targets), 20)
            for target in targets:
                self.assertNotIn(None, [got for _, got in target.figures.values()], target)
                self.assertNotIn("not measured", target.verdict())

    def test_nobody_without_a_target_is_in_a_short_run(self):
        aimed = {(row.name, engine) for row in plan.rows() for engine in plan.aimed(row)}
        self.assertLessEqual(aimed, plan.asked())
        for engine in ("submap", "smqp", "mqemitter", "aho-corasick", "keyrail-cold"):
            self.assertNotIn(engine, {engine for _, engine in aimed})
        # The npm package has targets of its own, and is compared with qlobber behind a map.
        self.assertIn(("topic_10k topic_10k.uniq", "keyrail-npm-batch"), aimed)
        self.assertIn(("topic_10k topic_10k.zipf", "keyrail-npm"), aimed)
        self.assertIn(("topic_10k topic_10k.zipf", "qlobber-map"), aimed)
        self.assertIn(("adv1 adv1", "zenoh-keyexpr"), aimed)
        self.assertNotIn(("adv1 adv1", "keyrail"), aimed)
        self.assertIn(("direct_1m direct_1m.zipf", "keyrail"), aimed)
        self.assertNotIn("fanout_10 fanout", {row for row, _ in aimed})

    def test_a_verdict_names_what_is_missed_and_what_is_not_measured(self):
        target = plan.Target("topic", "unique", "", {"10": (11, 12.0), "1k": (12, 11.9), "10k": (7, None)})
        self.assertEqual(target.verdict(), "missed: 1k; not measured: 10k")
        target.most = True
        self.assertEqual(target.verdict(), "missed: 10; not measured: 10k")
        self.assertEqual(plan.Target("", "", "", {"10": (2, 2.0)}, most=True).verdict(), "met")
        self.assertEqual(plan.Target("", "", "", {"10": (2, None)}).verdict(), "not measured: 10")


class Report(unittest.TestCase):
    def test_ratios_are_those_of_one_round_and_their_median(self):
        ns = lambda row, engine: 100.0 if engine == "keyrail" else 1_150.0
        wrong, out = printed(records(3, ns))
        self.assertEqual(wrong, [])
        line = next(line for line in out.splitlines() if line.startswith("| topic_10 ") and "qlobber " in line)
        self.assertEqual([cell.strip() for cell in line.split("|")[4:6]], ["2,300", "11.5"])
        target = next(line for line in out.splitlines() if "times as fast as qlobber" in line and "unique" in line)
        self.assertIn("at least 11 / 12 / 7 / 10 / 25", target)
        self.assertIn("11.5 / 11.5 / 11.5 / 11.5 / 11.5", target)
        self.assertIn("missed: 1k, 1m", target)

    def test_who_answers_wrongly_gets_no_time_and_fails_the_bench(self):
        broken = lambda row, engine: not (engine == "submap" and row.table == "topicend_1k")
        wrong, out = printed(records(1, agrees=broken))
        self.assertEqual(wrong, [("topicend_1k topic_1k.uniq", "submap")])
        self.assertIn("WRONG ANSWERS", out)
        self.assertIn("error: submap gives wrong answers on topicend_1k topic_1k.uniq", out)

    def test_who_refuses_a_hostile_table_is_said_to_and_a_failure_is_no_refusal(self):
        said = {"adv1 adv1": "refuses the table: too many wildcard somes", "adv3 adv3": "fails: heap out of memory"}
        def some():
            for record in records(1, lambda row, engine: 50.0 if engine == "keyrail-npm" else 100.0):
                if record["engine"] == "qlobber" and record["row"] in said:
                    record = {"row": record["row"], "engine": "qlobber", "round": 0, "error": said[record["row"]]}
                yield record
        wrong, out = printed(some())
        self.assertEqual(wrong, [])
        line = next(line for line in out.splitlines() if line.startswith("| adv1 ") and " qlobber " in line)
        self.assertIn("refuses the table: too many wildcard somes", line)
        target = next(line for line in out.splitlines() if "or qlobber refuses" in line)
        self.assertIn("refuses / 2 / - / 2", target)
        self.assertIn("met; not measured: adv3", target)
        self.assertIn(("adv4 adv4", "keyrail-npm"), plan.asked())

    def test_what_a_failed_engine_said_is_told_without_its_stack(self):
        stack = "/x/qlobber.js:604\n  throw new Error('too many words');\n\nError: refuses the keys: too many words\n    at match"
        self.assertEqual(run.complaint(stack), "refuses the keys: too many words")
        self.assertEqual(run.complaint("Error: too many words\n    at match"), "fails: too many words")

    def test_who_fails_is_said_and_the_rest_is_judged(self):
        def some():
            for record in records(1):
                if record["engine"] == "kombu" and record["row"] == "topic_10k topic_10k.uniq":
                    record = {"row": record["row"], "engine": "kombu", "round": 0, "error": "no end in 180 s"}
                yield record
        _, out = printed(some())
        self.assertIn("no end in 180 s", out)
        target = next(line for line in out.splitlines() if "times as fast as kombu" in line)
        self.assertIn("not measured: 10k", target)


if __name__ == "__main__":
    unittest.main()
