//! The exit codes, the same for every verb and the same as the clock's; those above 2 as in `sysexits.h`.

pub(crate) use ponos::exit::Exit;

/// For the help.
pub(crate) const TABLE: &str = "\
Exit codes:
  0   done; notes may have been shown
  1   something was found or not done: a difference, a breaking change, an event that nobody received or that nothing is known of, a
      letter that stayed, something that --drain left, put off or gave to the dead letters
  2   the command line is wrong
  69  the broker or the inbox can't be reached, or the connection was lost
  70  a fault of the program itself: please report it
  74  input or output failed
  77  access refused: wrong user or password, no such virtual host, no permission, nothing of that name; the inbox too
  78  the configuration can't be used: the URL, TLS, something that exists with other arguments; headers larger than a frame
  130 ended by Ctrl-C (SIGINT). On SIGTERM a verb that stays (tail, run, serve, gateway,
      source, observe) ends with 0";
