#!/bin/sh
# Runs every row of the formal model and compares what spin finds with what it
# must find. Exit 0: every row as expected; 1: a row differs; 2: cannot run.
#
#   run.sh              all rows (make model)
#   run.sh ROW...       these rows
#   run.sh -l           the rows
#   run.sh -t ROW       the counterexample of a row, step by step
#   DEEP=1 run.sh       the deeper rows too (README.md says how long they take)
#
# From the environment: SPIN (spin), CC (cc), JOBS (2 rows at a time).
set -u
export LC_ALL=C

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 2
spin=${SPIN:-spin}
cc=${CC:-cc}
command -v "$spin" >/dev/null 2>&1 || { echo "run.sh: $spin not found: install spin (Debian: apt-get install spin) or set SPIN" >&2; exit 2; }
command -v "$cc" >/dev/null 2>&1 || { echo "run.sh: $cc not found: install a C compiler or set CC" >&2; exit 2; }

# name | model | search | expected | switches | what the row is
#   search: full (depth first, every state), short (breadth first: ends at the
#   shortest counterexample), live (fair cycles), deep-full, deep-live
#   expected: holds, or the property that must be found violated
short='-DMARGIN=0 -DSETTLE=1 -DASETTLE=1'
small="$short -DLEASE=1"
ask="$small -DASK -DNO_VOUCH -DCHECK=61"
rows() {
	cat <<-END
	intact          |provision|full |holds|-DMAXADDS=3|the protocol: P1 P3 P4 P5 P6 P7
	intact-live     |provision|live |holds|$small -DMAXADDS=1|the protocol: P2
	no-lease-time   |provision|full |holds|$short -DLEASE=0|a lease is over at once: its length is no safety matter
	resend-ask      |provision|full |holds|$short -DLEASE=1 -DASK|WHMCS_RESEND=ask
	second-send     |provision|short|W_witness|$small -DWITNESS=1|witness: provisioned by a second AddOrder
	second-run      |provision|short|W_witness|-DWITNESS=2|witness: module failed, ran again by consent
	after-cancel    |provision|short|W_witness|-DWITNESS=3|witness: a new order after cancel and resolve
	A1-clocks       |provision|short|P1_one_order|-DCHECK=1 -DERR=2|clock error > margin
	A2-late-send    |provision|short|P1_one_order|-DCHECK=1 -DNO_GATE|frozen between check and send, no gate
	A3-slow-add     |provision|short|P1_one_order|-DCHECK=1 -DRUN=3|AddOrder runs longer than settle (settle too short)
	A3-no-bound     |provision|short|P1_one_order|-DCHECK=1 -DSLOW|AddOrder runs for ever
	A3-slow-accept  |provision|short|P7_failed_is_quiet|-DCHECK=64 -DARUN=3|AcceptOrder runs longer than its settle
	A4-repeat       |provision|short|P1_one_order|-DCHECK=1 -DREPEAT|something between repeats the POST
	A5-marker       |provision|full |holds|$small -DNO_MARK|marker not kept: read back, unmarked order suspected
	A5-no-suspicion |provision|short|P1_one_order|-DCHECK=1 -DNO_MARK -DNO_SUSPECT|marker not kept, unmarked order not suspected
	edited-marker   |provision|full |holds|$small -DEDIT|an admin damages the marker: the order is suspected
	edited-foreign  |provision|short|P1_one_order|-DCHECK=1 -DEDIT -DNO_SUSPECT|a damaged marker counts as another order's
	A6-miss         |provision|short|P1_one_order|-DCHECK=1 -DMISS|a stable list misses an order
	A6-lag          |provision|short|P1_one_order|-DCHECK=1 -DLAG|a list shows an order only settle after it was made
	A7-restore      |provision|short|P1_one_order|-DCHECK=1 -DRESTORE|table restored, no search first
	A7-look-before  |provision|full |holds|$small -DCHECK=13 -DRESTORE -DLOOK_BEFORE|table restored, gap settled, search first: P1 P3 P4
	A7-module       |provision|short|P6_module_once|-DCHECK=32 -DRESTORE -DLOOK_BEFORE|the same: a module may have run before the gap
	A7-plain        |provision|short|P5_plain_means_nothing|-DCHECK=16 -DRESTORE -DLOOK_BEFORE|the same: a plain code knows nothing of the gap
	ask-A1          |provision|full |holds|$ask -DERR=1|ask, clock error > margin
	ask-A2          |provision|full |holds|$ask -DNO_GATE|ask, frozen between check and send, no gate
	ask-A3          |provision|full |holds|$ask -DSLOW|ask, AddOrder and AcceptOrder run for ever
	ask-A5          |provision|full |holds|$ask -DNO_MARK -DNO_SUSPECT|ask, marker not kept, unmarked order not suspected
	ask-A6          |provision|full |holds|$ask -DMISS|ask, a list misses an order
	ask-A6-lag      |provision|full |holds|$ask -DLAG|ask, a list lags
	ask-A3-vouch    |provision|short|P1_one_order|-DASK -DCHECK=1 -DSLOW|ask, A3 broken, a person says --none too early
	ask-A4          |provision|short|P1_one_order|-DASK -DNO_VOUCH -DCHECK=1 -DREPEAT|ask does not help against a repeated POST
	settle-from-lease|provision|short|P1_one_order|-DCHECK=1 -DANCHOR_LEASE|settle counted from the first lease
	second-unrecorded|provision|short|P1_one_order|-DCHECK=1 -DNO_RESTAMP|the second send is not recorded
	look-early      |provision|short|P1_one_order|-DCHECK=1 -DLOOK_EARLY|the search begins before settle ended
	no-look         |provision|short|P1_one_order|-DCHECK=1 -DNO_LOOK|settle, but no search
	hook-refusal    |provision|short|P1_one_order|-DCHECK=1 -DTRUST_TEXT|an error after the commit, in the words of a refusal, is taken for one
	unsure-is-no    |provision|short|P1_one_order|-DCHECK=1 -DUNSURE_IS_FAILURE|no answer taken for a failure
	no-fence        |provision|short|P3_no_write_without_lease|-DCHECK=4 -DNO_FENCE|no lease condition on writes
	fence-counter   |provision|short|P3_no_write_without_lease|-DCHECK=4 -DCOUNTER|a counter as token: the loser's retry takes it for its own
	fence-counter-P1|provision|short|P1_one_order|-DCHECK=1 -DCOUNTER|the same, to its end
	reaccept        |provision|short|P6_module_once|-DCHECK=32 -DREACCEPT|AcceptOrder repeated without settle
	reaccept-P4     |provision|short|P4_provisioned_is_active|-DCHECK=8 -DREACCEPT|the same: provisioned is undone
	consent-kept    |provision|short|P6_module_once|-DCHECK=32 -DKEEP_CONSENT|a consent is not used up by the send
	old-click       |provision|short|P6_module_once|-DCHECK=32 -DDUP_CLICK|a copy of an old click counts as a new one
	late-click      |provision|short|P6_module_once|-DCHECK=32 -DLATE_CLICK|a click made before the failure consents
	none-blind      |provision|short|P1_one_order|-DCHECK=1 -DNONE_BLIND|a wrong --none is not checked
	found-again     |provision|short|P6_module_once|-DCHECK=32 -DFOUND_AGAIN|after --none the order is found, and accepted a second time
	adopt-anywhere  |provision|short|P6_module_once|-DCHECK=32 -DADOPT_ANY|adopt goes back from accepting to added
	no-last-look    |provision|short|P5_plain_means_nothing|-DCHECK=16 -DNO_LAST_LOOK|retries_exhausted without the last search
	no-end          |provision|live |P2|$small -DMAXADDS=1 -DNO_END|no 72 h end
	always-late     |provision|live |P2|$small -DMAXADDS=1 -DANY_OVERRUN|workers that outlive every lease
	push            |writeback|full |holds||the write-back: W1
	push-live       |writeback|live |holds|-DCHANGES=3|the write-back: W2
	push-no-rule    |writeback|short|W1_never_backwards|-DNO_RULE|Salesforce has no rule on seq
	push-reborn-1   |writeback|short|W1_never_backwards|-DREBORN_AT_1|seq starts at 1 after rebirth
	push-apex       |writeback|short|W1_never_backwards|-DAPEX|Apex writes a status without seq
	push-redrive    |writeback|short|W1_never_backwards|-DREDRIVE_OLD|a redrive sends the old image with the newest seq
	push-same-seq   |writeback|short|W1_never_backwards|-DSAME_SEQ|a field changes without seq
	push-no-item-rule|writeback|short|W1_never_backwards|-DNO_ITEM_RULE|the products have no rule on seq
	push-no-confirm |writeback|live |W2|-DCHANGES=3 -DNO_CONFIRM|Salesforce alone is asked: a push that left no trace there is lost
	push-look-once  |writeback|live |W2|-DCHANGES=3 -DLOOK_ONCE|what is refused when it is looked for is not remembered
	push-no-ask     |writeback|live |W2|-DCHANGES=3 -DNO_ASK|the table alone is asked: an uncalled click, a restore
	push-seq-only   |writeback|live |W2|-DCHANGES=3 -DSEQ_ONLY|the seq is compared and not the status
	push-mark-kept  |writeback|live |W2|-DCHANGES=3 -DMARK_KEPT|the mark of the question is not restored with the table
	END
	[ "${DEEP:-}" = 1 ] && cat <<-END
	deep-long-times |provision|full |holds|-DSETTLE=3 -DASETTLE=4 -DLEASE=3 -DWINDOW=2 -DMAXADDS=3|longer times
	deep-live       |provision|live |holds|-DMAXADDS=2 -DTROUBLES=2|P2 with the times of the safety rows
	deep-three      |provision|full |holds|-DWORKERS=3 $small -DMAXADDS=1|three workers
	deep-push       |writeback|full |holds|-DCHANGES=6|six changes
	END
	return 0
}

if [ "${1:-}" = -l ]; then
	rows | awk -F'|' '{ gsub(/ +$/, "", $1); printf "%-18s %s\n", $1, $6 }'
	exit 0
fi
trace=
if [ "${1:-}" = -t ]; then
	trace=1
	shift
	[ $# -eq 1 ] || { echo "usage: run.sh -t ROW" >&2; exit 2; }
fi

tmp=$(mktemp -d "${TMPDIR:-/tmp}/model.XXXXXX") || exit 2
lanes=
cleanup() {
	for p in $lanes; do kill -TERM "$p" 2>/dev/null; done
	wait
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

rows | sed 's/ *|/|/g' >"$tmp/all"
if [ $# -gt 0 ]; then
	for name; do
		grep "^$name|" "$tmp/all" >>"$tmp/rows" || { echo "run.sh: no row $name (run.sh -l lists them)" >&2; exit 2; }
	done
else
	cp "$tmp/all" "$tmp/rows"
fi

# step COMMAND: runs it so that the lane's trap can end it.
step() {
	"$@" &
	child=$!
	wait "$child"
	rc=$?
	child=
	return $rc
}

# row DIR MODEL SEARCH SWITCHES: leaves pan's output in DIR/out.
# The processor time of one search is bounded, not the time of the clock.
row() {
	cp "$here/$2.pml" "$1/" || return 1
	cd "$1" || return 1
	gen="-a $4" opt=-O0 run='-n -m2000000 -w22'
	case $3 in
	short) comp='-DSAFETY -DBFS' ;;
	full) comp='-DSAFETY' run='-n -m2000000 -w24' ;;
	live) gen="$gen -DLIVE" comp='-DNFAIR=3' run='-n -m2000000 -w24 -a -f' ;;
	esac
	mem=1800
	[ "${DEEP:-}" = 1 ] && mem=3600 opt=-O1
	# dash and bash both know ulimit -t; the switches are words.
	# shellcheck disable=SC2086,SC3045
	{
		step "$spin" $gen "$2.pml" >out 2>&1
		[ -f pan.c ] || return 1
		step "$cc" -w "$opt" $comp -DMEMLIM=$mem -o pan pan.c >out 2>&1 || return 1
		ulimit -t 1800
		step ./pan $run >out 2>&1
	}
}

# verdict DIR EXPECTED: prints "found|states".
verdict() {
	awk '
		/^pan:1: assertion violated/ { found = $4 }
		/^pan:1: acceptance cycle/ { found = "cycle" }
		/^pan:1: / && found == "" { found = $0; gsub(/^pan:1: |\(.*/, "", found) }
		/errors: 0/ { clean = 1 }
		/Search not completed|max search depth too small|out of memory|error: |Error: / { cut = 1 }
		/states, stored/ { states = $1 + 0 }
		END {
			if (found == "" ) found = (clean && !cut) ? "holds" : "no result"
			printf "%s|%d\n", found, states
		}' "$1/out"
}

lane() {
	child=
	trap '[ -n "$child" ] && kill -KILL "$child" 2>/dev/null; exit 143' TERM INT HUP
	n=0
	while IFS='|' read -r name model search expected switches text; do
		n=$((n + 1))
		mkdir "$tmp/$n" 2>/dev/null || continue # another lane has it
		(
			trap '[ -n "$child" ] && kill -KILL "$child" 2>/dev/null; exit 143' TERM INT HUP
			row "$tmp/$n" "$model" "$search" "$switches"
			exit 0
		) </dev/null &
		child_row=$!
		trap 'kill -TERM "$child_row" 2>/dev/null; wait "$child_row"; exit 143' TERM INT HUP
		wait "$child_row"
		[ -f "$tmp/$n/out" ] || echo 'no output' >"$tmp/$n/out"
		verdict "$tmp/$n" >"$tmp/$n/verdict"
		rm -f "$tmp/$n/pan" "$tmp/$n"/pan.[bcmhtp]
	done <"$tmp/rows"
}

jobs=${JOBS:-2}
[ "${DEEP:-}" = 1 ] && jobs=1
i=0
while [ "$i" -lt "$jobs" ]; do
	lane &
	lanes="$lanes $!"
	i=$((i + 1))
done

total=$(wc -l <"$tmp/rows")
bad=0
n=0
[ -n "$trace" ] || printf '%-18s %-26s %-26s %10s  %s\n' run expected found states what
while IFS='|' read -r name model search expected switches text; do
	n=$((n + 1))
	while [ ! -s "$tmp/$n/verdict" ]; do
		alive=
		for p in $lanes; do kill -0 "$p" 2>/dev/null && alive=1; done
		[ -n "$alive" ] || [ -s "$tmp/$n/verdict" ] || { echo "run.sh: row $name was not run to its end" >&2; exit 2; }
		sleep 0.2
	done
	IFS='|' read -r found states <"$tmp/$n/verdict"
	[ "$found" = cycle ] && found=$(echo "$expected" | grep '^[PW]2$' || echo cycle)
	[ "$found" = P2_ends ] && found=P2
	[ "$found" = W2_converges ] && found=W2
	if [ -n "$trace" ]; then
		echo "$name: $text: $found"
		[ "$found" = holds ] && exit 0
		live=
		[ "$search" = live ] && live=-DLIVE
		cd "$tmp/$n" || exit 2
		# shellcheck disable=SC2086
		"$spin" $switches $live -t -p -g "$model.pml" 2>/dev/null | awk -v src="$here/$model.pml" '
			BEGIN {
				while ((getline line < src) > 0) {
					sub(/^ +/, "", line); text[++k] = line
					if (line ~ /^\/\* (state|point|the WHMCS order|where a worker is) \*\/$/) {
						group = line ~ /state/ ? "st" : line ~ /point/ ? "pt" : line ~ /worker/ ? "pc" : "okind"
					} else if (line ~ /^#define [A-Z_]+ [0-9]+/) {
						split(line, w, " ")
						if (w[2] != "PENDING" && w[2] != "ACTIVE") name[group, w[3]] = w[2]
					} else if (line ~ /^\/\*/ || line ~ /^byte/) group = ""
				}
			}
			function flush() {
				if (head != "") { print head; if (set != "") print "        " set }
				head = set = ""
			}
			/START OF CYCLE/ { flush(); first = ""; print "---- from here on for ever ----" }
			/proc +[0-9]+ \(/ {
				who = $4; sub(/:[0-9]+\)?$/, "", who); sub(/^\(/, "", who)
				if ($0 !~ /\.pml:/ || who ~ /init|P2|W2/) next
				at = $0; sub(/.*\.pml:/, "", at); sub(/ .*/, "", at)
				id = $0; sub(/.*\(state /, "", id); sub(/\).*/, "", id)
				if (text[at] ~ /:: atomic/ && (at "/" $3 != step || id == first)) {
					flush(); step = at "/" $3; first = id
					head = sprintf("%-10s %-2d %s", who, $3, text[at])
				}
				next
			}
			/^\t\t[a-z]/ {
				sub(/^\t\t/, ""); split($0, kv, " = ")
				if (val[kv[1]] == kv[2]) next
				val[kv[1]] = kv[2]
				var = kv[1]; sub(/\[.*/, "", var)
				set = set (set == "" ? "" : ", ") kv[1] " = " ((var, kv[2]) in name ? name[var, kv[2]] : kv[2])
			}
			END { flush() }'
		exit 0
	fi
	mark=
	if [ "$found" != "$expected" ]; then
		bad=$((bad + 1))
		mark=' <-- DIFFERS'
		sed -n '1,15s/^/    /p' "$tmp/$n/out" >"$tmp/$n/show"
	fi
	printf '%-18s %-26s %-26s %10d  %s%s\n' "$name" "$expected" "$found" "$states" "$text" "$mark"
	[ -n "$mark" ] && cat "$tmp/$n/show"
done <"$tmp/rows"

[ -n "$trace" ] || echo "$total rows, $bad differ from what is expected"
[ "$bad" -eq 0 ]
