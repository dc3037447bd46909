# Reads the output of a test runner, prints "PASSED FAILED SKIPPED". -v counts=RUNNER says whose output it is.

# The number before WORD in the line, as in "3 passed; 1 failed".
function before(word) {
    return match($0, "[0-9]+ " word) ? substr($0, RSTART) + 0 : 0
}

# The number after WORD in the line, as in "failures=2".
function after(word) {
    return match($0, word "[0-9]+") ? substr($0, RSTART + length(word)) + 0 : 0
}

counts == "cargo" && /^test result: / {
    passed += before("passed"); failed += before("failed"); skipped += before("ignored")
}

# Its two reporters write "ℹ pass 3" and "# pass 3". A cancelled test was never finished; a todo is not a proof.
counts == "node" && /^(ℹ|#) (pass|fail|cancelled|skipped|todo) [0-9]+$/ {
    if ($2 == "pass") passed += $3
    else if ($2 == "fail" || $2 == "cancelled") failed += $3
    else skipped += $3
}

counts == "unittest" && /^Ran [0-9]+ tests? in / {
    passed += $2
}
counts == "unittest" && /^(OK|FAILED)( \(.*\))?$/ {
    gsub("expected failures", "expected")
    bad = after("failures=") + after("errors=") + after("unexpected successes=")
    failed += bad
    skips = after("skipped=") + after("expected=")
    skipped += skips
    passed -= bad + skips
}

counts == "plain" && /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ {
    passed += before("passed"); failed += before("failed"); skipped += before("skipped")
}

END {
    # Several failing subtests may belong to one test.
    printf "%d %d %d\n", passed < 0 ? 0 : passed, failed, skipped
}
