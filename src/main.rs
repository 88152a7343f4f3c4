//! The program: one subcommand, one exit code.

fn main() {
    let code = pillion::cli::run(std::env::args_os());
    // Not a return: threads that wait for stdin or for the disk must not hold up the end.
    #[cfg(feature = "local")]
    pillion::provider::local::exit(code);
    #[cfg(not(feature = "local"))]
    std::process::exit(code);
}
