# What there is to do; `just` alone lists it.
default:
    @just --list

# Format, lints and a type check: the fast loop.
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# Everything that must pass before a change goes in.
test:
    bash scripts/test.sh

# The local provider with the real small model.
test-local:
    bash scripts/test-local.sh

# Fetch Debian's newest Neovim and tell the plugin's stories in it.
nvim-next:
    bash scripts/nvim-next.sh

# Build the VS Code extension into a VSIX.
vscode:
    bash scripts/package-vscode.sh

# Build with the small model inside, run a prompt, stop it, explain the stop.
try:
    bash scripts/try.sh

# The benchmarks: one table. `just bench --quick`, `just bench cancel token`; docs/performance.md tells what is measured.
bench *words:
    bash scripts/bench.sh {{words}}

fmt:
    cargo fmt
