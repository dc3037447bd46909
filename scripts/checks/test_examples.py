"""What scripts/checks/examples.py takes for a public item, for an example, and for a format that it does not know.

    python3 -m unittest discover -s scripts/checks
"""

import unittest

import examples

RUNS = examples.CRATES["keyrail-core"]
EXAMPLE = "Text.\n\n```\nrun();\n```"


def item(kind, name, inner, docs="Text.", visibility="public"):
    return {"name": name, "visibility": visibility, "docs": docs, "inner": {kind: inner}}


def block(*methods, trait=None):
    return item("impl", None, {"items": list(methods), "trait": trait, "blanket_impl": None}, None, "default")


def crate(root, version=57, **others):
    """A crate in rustdoc's JSON: what is in its root, and items by their numbers."""
    index = {number.removeprefix("_"): each for number, each in others.items()}
    index["0"] = item("module", "it", {"items": root})
    return {"format_version": version, "root": 0, "index": index}


class Items(unittest.TestCase):
    def test_an_item_has_its_example_on_itself_or_on_a_method(self):
        found = crate(
            [1, 2, 3, 4, 5],
            _1=item("struct", "Shown", {"impls": []}, EXAMPLE),
            _2=item("struct", "ByMethod", {"impls": [21]}), _21=block(22), _22=item("function", "act", {}, EXAMPLE),
            _3=item("enum", "OfATrait", {"impls": [31]}), _31=block(32, trait="Display"),
            _32=item("function", "fmt", {}, EXAMPLE),
            _4=item("constant", "LIMIT", {}, None),
            _5=item("trait", "Act", {"items": [51]}), _51=item("function", "act", {}, EXAMPLE, "default"),
        )
        self.assertEqual(examples.without_example(found, RUNS), (5, ["it::OfATrait", "it::LIMIT"]))

    def test_what_is_not_public_is_not_asked(self):
        found = crate([1], _1=item("function", "helper", {}, visibility="crate"))
        self.assertEqual(examples.without_example(found, RUNS), (0, []))
        # Nor is a method that is not public an example for whoever reads.
        found = crate(
            [1], _1=item("struct", "Thing", {"impls": [2]}), _2=block(3),
            _3=item("function", "helper", {}, EXAMPLE, "crate"),
        )
        self.assertEqual(examples.without_example(found, RUNS), (1, ["it::Thing"]))

    def test_modules_and_what_is_exported_again_are_followed_once(self):
        use = item("use", None, {"id": 3, "is_glob": False, "name": "Thing"})
        found = crate(
            [1, 2], _1=use, _2=item("module", "inner", {"items": [4]}), _4=use, _3=item("struct", "Thing", {"impls": []}),
        )
        self.assertEqual(examples.without_example(found, RUNS), (1, ["it::Thing"]))

    def test_a_glob_brings_what_is_in_the_module(self):
        found = crate(
            [1], _1=item("use", None, {"id": 2, "is_glob": True, "name": "inner"}),
            _2=item("module", "inner", {"items": [3]}, visibility="crate"), _3=item("function", "go", {}),
        )
        self.assertEqual(examples.without_example(found, RUNS), (1, ["it::go"]))

    def test_an_unknown_format_is_said(self):
        with self.assertRaisesRegex(examples.UnknownFormat, "version 58 of rustdoc's JSON is unknown, expected 57"):
            examples.items(crate([], version=58))


class Example(unittest.TestCase):
    def test_what_does_not_run_is_none(self):
        for fence, runs in [("", True), ("rust", True), ("text", False), ("json", False), ("ignore", False),
                            ("no_run", False), ("compile_fail", False), ("rust,no_run", False)]:
            self.assertEqual(examples.has_example(f"Text.\n\n```{fence}\nrun();\n```\n", RUNS), runs, fence)
        self.assertFalse(examples.has_example(None, RUNS))

    def test_the_end_of_a_block_opens_none(self):
        self.assertFalse(examples.has_example("```text\na\n```\n\nText.\n", RUNS))
        self.assertTrue(examples.has_example("```text\na\n```\n\n~~~\nrun();\n~~~\n", RUNS))
        self.assertFalse(examples.has_example("````text\n```\nrun();\n```\n````\n", RUNS))

    def test_what_needs_a_server_has_to_compile(self):
        server = examples.CRATES["keyrail-redis"]
        self.assertTrue(examples.has_example("```no_run\nrun();\n```", server))
        self.assertFalse(examples.has_example("```ignore\nrun();\n```", server))


if __name__ == "__main__":
    unittest.main()
