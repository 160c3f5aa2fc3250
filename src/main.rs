//! Arguments → configuration → run.

use std::io::Write as _;

/// The system's own allocator spends more time than all else where threads hand small things to each other, as loop,
/// publisher and store do (ADR 0010).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ponos::redact::redact_panics();
    without_huge_pages();
    for_this_user_alone();
    if let Err(why) = ponos::stack::provide() {
        // Whoever can't be told goes on all the same.
        let _ = writeln!(std::io::stderr(), "warning: {why}");
    }
    khronos::cli::main()
}

/// What is written is for this user alone, whatever the umask was: sled makes files at any time.
fn for_this_user_alone() {
    #[cfg(target_os = "linux")]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// The allocator asks for pages of 2 MiB, of which a clock with few schedules would use a little each.
fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    // Where the kernel refuses, the clock takes more memory, and nothing else differs.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
