# Short names for the commands of the README; `just` alone lists them.

_default:
    @just --list

# The marketplace on this machine, everything in one process.
run *args:
    cargo run --release -- dev {{args}}

# Format, clippy, docs, the architecture check and every test.
test *args:
    cargo xtask test {{args}}

# Real servers on this machine's loopback: Kafka, Cassandra, Postgres (up, down, status, logs).
services *args:
    cargo xtask services {{args}}

# What is in the topics on Kafka, and how to read them.
topics *args:
    cargo run --release -- topics {{args}}

# Revenue per day, counted from the topic of orders by examples/analytics (Python).
analytics *args:
    test -x target/analytics/bin/python || python3 -m venv target/analytics
    target/analytics/bin/python -m pip install --quiet --requirement examples/analytics/requirements.txt
    target/analytics/bin/python examples/analytics/revenue.py {{args}}

# Faults befall real nodes on a real broker under load; a checker says what did not hold.
faults *args:
    cargo xtask faults {{args}}

# Commands per second beside their floor.
bench-commands *args:
    cargo xtask bench commands {{args}}

# Events per second of a rebuild beside their floor.
bench-replay *args:
    cargo xtask bench replay {{args}}

# Writes the golden files anew, and says which changed.
goldens:
    cargo xtask goldens

# Formats the code.
fmt:
    cargo fmt --all
