//! Arguments → configuration → run.

/// The system's allocator spends more time than all else where threads hand small things to each other, as loop, publisher
/// and store do (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    khronos::cli::main()
}
