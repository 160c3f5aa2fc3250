//! Arguments → configuration → run.

fn main() -> std::process::ExitCode {
    khronos::cli::main()
}
