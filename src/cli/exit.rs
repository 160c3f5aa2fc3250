//! The exit codes, the same for every verb; those above 2 as in `sysexits.h`.
//!
//! | Code | Meaning |
//! | --- | --- |
//! | 0 | done; warnings may have been shown; `run`: ended by SIGTERM, in good order |
//! | 1 | findings: `check` found errors, `audit` a hole or a surplus, or delayed events that are missing, too many or can't be counted, `health` a clock that is not well or not there |
//! | 2 | the command line is wrong (an unknown flag, an expression or a schedule name that can't be used); `plan`: something differs; `parked release`, `drop`: nothing is parked under a number; `audit`: the record is in too many pieces for one go |
//! | 69 | a service can't be reached: the broker, or a running clock |
//! | 70 | a fault of the program itself: please report it |
//! | 74 | input or output failed: the store can't be used, or is damaged; `list`, `history`, `audit`, `parked list`, `plan`: no clock runs and there is no store; standard output can't be written |
//! | 77 | access refused: wrong user or password, no such virtual host, no permission; a clock that wants another token, or none from there; an exchange or queue that is not there |
//! | 78 | the configuration can't be used: a fault in it or in a schedule file, a port in use, an exchange of another type (406), TLS against a plain port, a store of another clock, of a newer version of khronos, in use by another process, or the target of a copy that did not end |
//! | 130 | ended by Ctrl-C (SIGINT); `run`: in good order |

pub(super) use ponos::exit::Exit;

/// `plan`: something differs. The same code as [`Exit::Usage`], as other tools' plans have it.
pub(super) const DIFFERS: Exit = Exit::Usage;
