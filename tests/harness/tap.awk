# SPDX-License-Identifier: Apache-2.0
#
# Judges the TAP output of one test file, for scripts/run-tests.  First line
# out: "passed failed skipped microseconds"; then one line per failure or skip.
# In: label, status (exit status), limit (seconds), us, ci, allowed (file of
# lines "TIER/FILE TEST-NAME-PATTERN: reason"; * in a pattern is any text).

function glob(pattern,    re) {
	re = pattern
	gsub(/[][().+?^$|{}\\]/, "\\\\&", re)
	gsub(/\*/, ".*", re)
	return "^" re "$"
}

function is_allowed(name,    i) {
	for (i = 0; i < n_rules; i++)
		if (label ~ rule_file[i] && name ~ rule_name[i])
			return 1
	return 0
}

function fail(text) {
	failed++
	notes = notes "failed: " text "\n"
}

function skip(name, why) {
	if (why == "")
		fail(name " (skipped without a reason)")
	else if (ci != "" && !is_allowed(name))
		fail(name " (skipped: " why "; not in " allowed ")")
	else {
		skipped++
		notes = notes "skipped: " name ": " why "\n"
	}
}

BEGIN {
	planned = -1
	while ((getline line < allowed) > 0) {
		if (line !~ /^[^#].*:/)
			continue
		sub(/:.*/, "", line)
		rule_file[n_rules] = glob(substr(line, 1, index(line, " ") - 1))
		rule_name[n_rules++] = glob(substr(line, index(line, " ") + 1))
	}
}

/^1\.\.0 *# *SKIP/ {
	sub(/^[^#]*# *SKIP */, "")
	planned = 0
	skip("all", $0)
	next
}
/^1\.\.[0-9]+/ {
	planned = substr($1, 4) + 0
	next
}
/^(not )?ok( |$)/ {
	seen++
	is_ok = /^ok/
	name = $0
	sub(/^(not )?ok *[0-9]* *-? */, "", name)
	why = name
	if (sub(/ *# *SKIP.*/, "", name)) {
		sub(/.*# *SKIP */, "", why)
		skip(name, why)
	} else if (is_ok)
		passed++
	else
		fail(name)
	next
}
/^Bail out!/ {
	fail($0)
}

END {
	if (status == 124 || status == 137)
		fail("not done after " limit " s")
	else if (planned < 0)
		fail("no plan (exit status " status ")")
	else if (planned != seen + 0)
		fail("planned " planned ", ran " seen + 0 " (exit status " status ")")
	else if (status != 0 && !failed)
		fail("exit status " status)
	printf "%d %d %d %d\n%s", passed, failed, skipped, us, notes
}
