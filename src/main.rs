//! The program: one subcommand, one exit code.

fn main() {
    // Not a return: threads that wait for stdin or for the disk must not hold up the end.
    std::process::exit(pillion::cli::run(std::env::args_os()));
}
