//! epmd, which knows the ports of Erlang's nodes by their names.

use crate::{block_until, place::Place, processes::Processes};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    time::Duration,
};

/// It answers at once; on a machine that is busy with other things it may take much longer.
const LIMIT: Duration = Duration::from_secs(90);

/// Starts one of its own for a node, or for a cluster.
pub(crate) fn start_epmd(port: u16, place: &Place, processes: &Processes) -> Child {
    let mut command = place.command("epmd", &[]);
    command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
    let child = processes.spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    block_until("epmd", LIMIT, || TcpStream::connect(("127.0.0.1", port)).ok());
    child
}

/// The names that epmd knows (its NAMES request: length 1, code 110; the answer starts with its port).
pub(crate) fn epmd_names(port: u16) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&[0, 1, 110])?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(answer.get(4..).unwrap_or_default()).into_owned())
    };
    ask().unwrap_or_default()
}
