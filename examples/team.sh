#!/bin/sh
# Sets up a team of three in an empty workspace: Anna is its admin, Ben a manager, Clara a member.
# Try it on the sandbox. In one terminal:
#
#   echo try-me > password
#   mailrotate sandbox --password-file password
#
# and in another, in the same folder:
#
#   sh team.sh
#
# Every command prints one JSON document, so that the output can be kept as a record. A command that is
# refused ends the script, and says on standard error why, and what to type instead.
set -eu

# --- where things are; set these in the environment for servers and a database of your own
: "${SMTP:=127.0.0.1:2525}" "${IMAP:=127.0.0.1:2143}" "${SECURITY:=none}" # anything but loopback: tls
: "${PASSWORD_FILE:=password}"                                            # its first line
: "${DOMAIN:=sandbox.example.org}"
: "${MAILROTATE_DB:=$PWD/team.db}" "${MAILROTATE_KEY_FILE:=$PWD/team.key}"
export MAILROTATE_DB MAILROTATE_KEY_FILE

anna=anna@$DOMAIN ben=ben@$DOMAIN clara=clara@$DOMAIN sales=sales@$DOMAIN

# Who acts is said each time, and stands in the log beside the user of the operating system.
as() {
    user=$1
    shift
    mailrotate --as "$user" "$@" --json
}

# --- the workspace with its admin, and what it allows
# One mailbox each, and more only where slots are bought; every address is approved by an admin.
# The plan comes first: what it allows is asked when something is connected.
mailrotate init --email "$anna" --name "Anna Example" --json
as "$anna" plan set --slots 1 --daily-cap 200 --sync-every 10m --shared on --role-addresses on --approval required

# --- people; `mailrotate user roles` shows what each role may do
as "$anna" user add "$ben" --name "Ben Example" --role manager
as "$anna" user add "$clara" --name "Clara Example" --role member

# --- slots: a manager buys two for the team and gives Clara one; the other stays unassigned
as "$ben" slot buy --count 2
as "$ben" slot assign --user "$clara" --count 1

# --- requests: each for themselves, Ben also for the address of sales; an admin decides
# Whoever approves sees the checks of each request: mailrotate mailbox requests
for user in "$anna" "$ben" "$clara"; do
    as "$user" mailbox request "$user"
done
as "$ben" mailbox request "$sales"
for address in "$anna" "$ben" "$clara" "$sales"; do
    as "$anna" mailbox approve "$address" --reason "known to all of us"
done

# --- mailboxes: both servers are logged in to before anything is stored
# A password is never an argument: others could read it in the list of processes. From a file:
for user in "$anna" "$ben"; do
    as "$user" mailbox connect "$user" --smtp "$SMTP" --imap "$IMAP" --security "$SECURITY" \
        --password-file "$PASSWORD_FILE"
done
# or from standard input, as password managers give it; here an admin does it for Clara.
as "$anna" mailbox connect "$clara" --for "$clara" --smtp "$SMTP" --imap "$IMAP" --security "$SECURITY" \
    --password-stdin <"$PASSWORD_FILE"

# --- settings: they reach every message that is not on its way yet
as "$anna" mailbox set "$anna" --sender-name "Anna of Example" --name "Anna's own" --daily-limit 80 --gap 90s \
    --timezone Europe/Berlin
as "$clara" mailbox set "$clara" --ramp 20,10,120 # 20 on the first day, 10 more on each, up to 120
# Ben sends as sales; what comes to that address arrives in his mailbox.
as "$ben" mailbox alias add "$ben" "$sales" --sender-name "Sales at Example" --use

# --- sharing: Ben may also read Clara's mailbox and write from it
as "$clara" mailbox set "$clara" --access shared
as "$clara" mailbox share add "$clara" "$ben"

# --- signatures are Markdown; of several, one is the main one
as "$anna" mailbox signature add "$anna" short --body - <<'END'
Anna Example
END
as "$anna" mailbox signature add "$anna" long --body - <<'END'
**Anna Example**, Example Works

We answer within a day.
END
as "$anna" mailbox signature main "$anna" long

# --- how it looks now: connected/total for everybody, and what is left in the pool
as "$anna" slot list
