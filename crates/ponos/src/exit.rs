//! The exit codes of `khronos` and `ponos`; those from 64 to 78 are of `sysexits.h`.

use crate::broker::LinkErrorClass;
use std::process::ExitCode;

/// The exit code of a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something was found, or not done: errors, holes, a difference, a clock that is not well.
    Findings = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// A service can't be reached.
    Unavailable = 69,
    /// A fault of the program itself.
    Software = 70,
    /// Input or output failed.
    InputOutput = 74,
    /// Access refused.
    AccessRefused = 77,
    /// The configuration can't be used.
    Configuration = 78,
    /// Ended by Ctrl-C: 128 and the number of the signal, as shells have it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<LinkErrorClass> for Exit {
    fn from(class: LinkErrorClass) -> Self {
        match class {
            LinkErrorClass::AccessRefused
            | LinkErrorClass::Vhost
            | LinkErrorClass::Forbidden
            | LinkErrorClass::Missing => Self::AccessRefused,
            LinkErrorClass::Unreachable | LinkErrorClass::Overdue => Self::Unavailable,
            LinkErrorClass::Inequivalent
            | LinkErrorClass::TooLarge
            | LinkErrorClass::Tls
            | LinkErrorClass::Configuration => Self::Configuration,
        }
    }
}
