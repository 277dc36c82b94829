#!/bin/sh
# Start the demonstration server, place one prepaid call against it, and keep serving until Ctrl-C.
# Run from the project's root, with aaad and aaactl on the PATH (`make run` does both).
set -eu

config=conf/demo/aaa.toml
export AAACTL_SOCKET=var/control.sock AAACTL_PROBE_SECRET=testing123

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

mkdir -p var
[ -f var/server.key ] || (umask 077 && head -c 32 /dev/urandom > var/server.key)

say "Prepare the database (var/aaa.db)"
aaactl --config "$config" db upgrade

say "Start the server on loopback (log: var/aaad.log)"
aaad --config "$config" 2> var/aaad.log &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM

answers() {  # exit code 8: it answers and says what it still lacks, the tariff
    code=0
    aaactl server health > /dev/null 2>&1 || code=$?
    [ "$code" = 0 ] || [ "$code" = 8 ]
}

tries=0
until answers; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2> /dev/null; then
        cat var/aaad.log >&2
        echo "the server did not start" >&2
        exit 1
    fi
    sleep 0.1
done

say "Apply tariff, accounts and client (conf/demo/demo.toml)"
aaactl apply conf/demo/demo.toml
aaactl server health

say "What will a call of alice to London cost?"
aaactl rate explain alice 00442071234567 --nas demo --duration 90

say "Place it over RADIUS: 60 seconds are granted and held, refilled, and settled by the Stop at 90"
aaactl probe radius --user alice --password wonderland --to 00442071234567 --from 030123456 --duration 90

say "The same call over Diameter: CCR-I, CCR-U, CCR-T, charged to the same account by the same rate"
aaactl probe diameter --from 4930123456 --to 442071234567 --duration 90

say "The ledger of alice, newest first"
aaactl balance history alice --limit 3
aaactl balance show alice

say "Bob has 0.30: his call is cut when nothing is left"
aaactl probe radius --user bob --password builder --to 00442071234567 --duration 600 || true
aaactl balance history bob --limit 3

say "Proof that nothing was lost"
aaactl ledger verify

say "Serving on 127.0.0.1 (RADIUS 1812 and 1813, secret testing123; Diameter 3868; control socket $AAACTL_SOCKET). Ctrl-C ends it."
wait "$server"
