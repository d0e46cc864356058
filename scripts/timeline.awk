# Tells a story from the event streams of several brokers (`ucp events -o json`). Twice:
#
#   awk -f timeline.awk -v pass=sort FILE... | sort -s -n | awk -f timeline.awk -v pass=tell
#
# The first pass makes lines that sort by time; the second tells each thing once. Brokers
# tell the same: of an emergency and of members all who hear of it, and then it is shown how
# much later than the first; of a job only the broker where it is.
# -v urgent=REGEXP says which jobs the summary is about, -v colour=1 asks for colour.

function value(name,   from, rest) { # of a field of the JSON on this line: short names, no quotes inside
	from = index($0, "\"" name "\":\"")
	if (!from) return ""
	rest = substr($0, from + length(name) + 4)
	return substr(rest, 1, index(rest, "\"") - 1)
}

pass == "sort" {
	at = value("at")
	if (at == "") next
	text = substr($0, index($0, "\"text\":\"") + 8)
	sub(/"}$/, "", text)
	n++
	day[n] = substr(at, 1, 10)
	if (first == "" || day[n] < first) first = day[n]
	clock[n] = substr(at, 12, 2) * 3600 + substr(at, 15, 2) * 60 + substr(at, 18) # "07.25Z" counts as 7.25
	line[n] = value("broker") "\t" value("kind") "\t" value("id") "\t" value("what") "\t" value("place") "\t" value("for") "\t" text
}

# add makes a row, or one more subject of a row of the same moment.
function add(at, broker, subject, one, many, shade,   i) {
	for (i = rows; i > 0 && at - when[i] < 0.3; i--)
		if (subject != "" && where[i] == broker && verb[i] == one && index(who[i] ", ", subject ", ") == 0) {
			who[i] = who[i] ", " subject
			verbs[i] = many
			several[i] = 1
			return i
		}
	rows++
	when[rows] = at; where[rows] = broker; who[rows] = subject
	verb[rows] = one; verbs[rows] = many; paint[rows] = shade
	return rows
}

# heard notes that another broker has come to know what a row tells.
function heard(row, broker, at) {
	later[row] = later[row] (later[row] == "" ? "" : ", ") broker (at - when[row] < 0.001 ? " at once" : " " span(at - when[row]) " later")
	if (at > last[row]) last[row] = at
}

function span(s) { return s < 0.9995 ? sprintf("%.0f ms", s * 1000) : sprintf("%.1f s", s) }

function emergency(at, broker, id, what, text,   key, words) {
	key = id SUBSEP what
	if ((key in told) && at - when[told[key]] < 3) {
		if (!((key, broker) in heardBy)) heard(told[key], broker, at)
		heardBy[key, broker]
		return
	}
	words = text
	sub("^" id ": ", "", words)
	sub(/, until [0-9][^:]*:[0-9]+:[0-9]+ UTC/, "", words) # a day from now: not of this story
	sub(/, (everywhere|for all brokers)/, "", words)
	sub(/, level /, ", ", words)
	if (key in told && (what == "declared" || !((key, broker) in heardBy))) { # it was away
		add(at, broker, "", "learns that " id " was " what, "", "")
		heardBy[key, broker]
		learnt[broker]
		return
	}
	heardBy[key, broker]
	if (what == "cleared") told[key] = add(at, broker, "", "EMERGENCY OVER: " id " is cleared", "", "good")
	else told[key] = add(at, broker, "", (what == "declared" ? "EMERGENCY " id ": " : id " " what ": ") words, "", what == "declared" ? "bad" : "")
	if (what == "declared" || what == "cleared") turn[told[key]]
	if (what == "declared") {
		declared = told[key]
		for (key in state) before[key]
	}
	if (what == "cleared") cleared = told[key]
}

function member(at, broker, id, what,   key) {
	if (broker == id || what != "failed" && what != "join") return
	if (what == "join" && !(id in lost)) return
	if (what == "failed") lost[id] = at
	key = id SUBSEP what
	if ((key in told) && at - when[told[key]] < 10) heard(told[key], broker, at)
	else told[key] = add(at, broker, "", what == "failed" ? id " does not answer any more" : id " is back", "", what == "failed" ? "bad" : "good")
	if (what == "failed" && !noticed) noticed = told[key]
}

function job(at, broker, id, what, place, text) {
	if (what == "pending" || what in final && id in over) return
	if (!(what in final) && broker != place) return
	if (what == "queued" && place != home[id] && home[id] != "") {
		add(at, place, id, "comes here from " home[id], "come here from " home[id], "")
		if (home[id] == victim && id ~ urgent) moved[id] = 1
	}
	if (what == "running") runs(at, place, id)
	if (what in final) {
		over[id] = 1
		if (what == "succeeded") add(at, place, id, "is done", "are done", "")
		else add(at, place == "" ? broker : place, "", text, "", "bad")
	}
	if ((what == "suspended" || what == "queued") && id in stopping) {
		if (stopping[id] in before) stopped = at # the others were not there yet
		delete stopping[id]
	}
	state[id] = what
	home[id] = place
}

# runs tells that a job runs. It has started again only where it can't be the attempt that ran before: at another broker, or
# at one that was lost meanwhile, or after it went back into the queue. A broker that passes it to another owner, or is in
# reach again, tells of the same attempt once more.
function runs(at, place, id) {
	if (state[id] == "suspended") add(at, place, id, "goes on", "go on", "")
	else if (!(id in ranAt)) add(at, place, id, "starts", "start", "")
	else if (ranAt[id] != place || (id in requeued) || (place in lost) && lost[place] > ranSince[id]) {
		add(at, place, id, "starts again", "start again", "")
		ranSince[id] = at
	}
	if (!(id in ranSince)) ranSince[id] = at
	ranAt[id] = place
	delete requeued[id]
	if (declared && !firstUrgent && id ~ urgent) { firstUrgent = at; firstName = id " at " place }
	if (id in moved && !again) { again = at; againName = id " at " place }
	if (cleared && !resumed && id in paused) { resumed = at; resumedName = id " at " place }
}

pass == "tell" {
	split($0, f, "\t")
	if (NR == 1) {
		zero = f[1]
		final["succeeded"]; final["failed"]; final["cancelled"]; final["expired"]
	}
	at = f[1] - zero
	if (f[3] == "emergency") emergency(at, f[2], f[4], f[5], f[8])
	else if (f[3] == "member") member(at, f[2], f[4], f[5])
	else if (f[3] == "job") job(at, f[2], f[4], f[5], f[6], f[8])
	else if (f[3] == "preemption" && f[2] == f[6]) { # others hear of it, too
		stopping[f[4]] = f[7] in ranAt ? "" : f[7]
		if (!cleared) paused[f[4]]
		if (f[5] == "requeued") requeued[f[4]]
		add(at, f[2], f[4], f[5] == "requeued" ? "goes back into the queue for " f[7] : "stands still for " f[7],
			f[5] == "requeued" ? "go back into the queue for " f[7] : "stand still for " f[7], "")
	} else if (f[3] == "demo" && !(f[5] == "told" && f[4] in learnt)) { # what the demo did, or saw
		i = add(at, f[2], "", f[8], "", f[5] == "killed" ? "bad" : "")
		if (f[5] == "killed") { lost[f[4]] = at; victim = f[4]; killed = at; turn[i] }
	}
}

function coloured(text, shade) {
	if (!colour || shade == "") return text
	return (shade == "bad" ? "\033[1;31m" : "\033[1;32m") text "\033[0m"
}

function figure(from, to, words) { if (from && to) printf "%9s  %s\n", span(to - from), words }

END {
	if (pass == "sort") {
		for (i = 1; i <= n; i++) printf "%.6f\t%s\n", clock[i] + (day[i] != first) * 86400, line[i]
		exit
	}
	printf "%9s  %-7s %s\n", "seconds", "broker", "what happened"
	for (i = 1; i <= rows; i++) {
		if (i in turn) print "" # the story takes a turn
		text = (who[i] == "" ? "" : who[i] " ") (several[i] ? verbs[i] : verb[i])
		printf "%9.2f  %-7s %s\n", when[i], where[i], coloured(text, paint[i])
		if (later[i] != "") printf "%9s  %-7s    %s\n", "", "", "(" later[i] ")"
	}
	print ""
	figure(when[declared], last[declared], "from the declaration until every broker that was up knew")
	figure(when[declared], firstUrgent, "from the declaration until the first urgent job ran (" firstName ")")
	figure(when[declared], stopped, "from the declaration until the last job had made room")
	figure(killed, when[noticed], "from the kill until a broker missed " victim)
	figure(killed, again, "from the kill until its urgent work ran elsewhere (" againName ")")
	figure(when[cleared], resumed, "from the clear until a job that had made room ran again (" resumedName ")")
}
