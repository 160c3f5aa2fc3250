//! The only file that reads the system's time.
