//! `ponos serve`: who may ask, and what is no request of ours.

use super::{
    serve::{SHOP, ask_on, serve},
    support::{LIMIT, ponos_ends},
};
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    time::Duration,
};
use testkit::Signal;

#[test]
fn a_socket_is_this_user_s_alone_and_a_token_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, token) = (folder.path().join("ponos.sock"), folder.path().join("token"));
    fs::write(&token, "0123456789abcdef0123\n").unwrap();
    let words = ["--socket", socket.to_str().unwrap(), "--token-file", token.to_str().unwrap()];
    let serving = serve("serve-socket", SHOP, &words);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |head: &str| ask_on(UnixStream::connect(&socket).unwrap(), "GET", "/v1/contracts", head, "");
    for wrong in ["", "Authorization: Bearer 0123456789abcdef0124\r\n", "Authorization: Basic x\r\n"] {
        assert_eq!(ask(wrong).status, 401, "{wrong}");
    }
    assert_eq!(ask("Authorization: Bearer 0123456789abcdef0123\r\n").status, 200);
    // a second one there is refused
    let path = serving.folder.path().join("ponos.toml");
    let second = ponos_ends(
        &serving.url,
        &["serve", "--config", path.to_str().unwrap(), "--inbox", "memory", "--socket", words[1]],
        78,
    );
    assert!(second.err.contains("another program listens there"), "{}", second.err);
    serving.running.program.signal(Signal::TERM);
    assert_eq!(serving.running.end().code, Some(0));
    assert!(!socket.exists());
}

#[test]
fn what_is_no_request_of_ours_is_refused() {
    let serving = serve("serve-hostile", SHOP, &[]);
    let status =
        |method: &str, path: &str, head: &str, body: &str| serving.ask_with(method, path, head, body).status;
    assert_eq!(status("POST", "/v1/receive", "Origin: http://evil.example\r\n", ""), 403);
    assert_eq!(status("GET", "/v1/receive", "", ""), 405);
    assert_eq!(status("GET", "/v2", "", ""), 404);
    for wrong in ["wait=soon", "wait=2m", "wat=1s", "queue=shop.none"] {
        assert_eq!(status("POST", &format!("/v1/receive?{wrong}"), "", ""), 400, "{wrong}");
    }
    for (body, expected) in [
        ("{", 400),
        (r#"{"event": "a.b.c", "event": "a.b.c"}"#, 422),
        ("{} {}", 400),
        ("[]", 422),
        ("{}", 422),
    ] {
        assert_eq!(status("POST", "/v1/publish", "", body), expected, "{body}");
    }
    let nested = format!(r#"{{"event": "a.b.c", "data": {}"#, "[".repeat(100_000));
    assert_eq!(status("POST", "/v1/publish", "", &nested), 400);
    // what is said to be too large is not waited for
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    stream.write_all(b"POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n").unwrap();
    let mut start = [0_u8; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    // half a body, and gone: nothing comes of it
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    stream.write_all(b"POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"event\"").unwrap();
    drop(stream);
    // one who waits and goes takes nothing along
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    stream
        .write_all(b"POST /v1/receive?wait=60s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut [0_u8; 1]).is_err(), "nothing was to come");
    drop(stream);
    // nor does one who closes the half that he writes to, as the clients do when they are stopped
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    stream
        .write_all(b"POST /v1/receive?wait=60s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut [0_u8; 1]).is_err(), "nothing was to come");
    stream.shutdown(Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(stream.read(&mut [0_u8; 1]).unwrap(), 0, "he is not waited with");
    serving.publish(&["order.item.placed", "{}"]);
    let delivery = serving.receive();
    assert_eq!(delivery["attempt"], 1);
    assert_eq!(serving.settle(&delivery, &json!({"outcome": "done"})).status, 200);
    let elsewhere =
        ponos_ends(&serving.url, &["serve", "--service", "x", "--on", "a.b.c", "--listen", "0.0.0.0:0"], 2);
    assert!(elsewhere.err.contains("programs of this machine"), "{}", elsewhere.err);
}
