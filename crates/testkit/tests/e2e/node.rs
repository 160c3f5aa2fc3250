//! A private node boots, obeys, comes back after a kill, and leaves nothing behind.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{Node, block_until};

#[test]
fn a_node_boots_obeys_is_killed_comes_back_and_leaves_nothing() {
    let node = Node::start();
    let port = node.port();
    let url = node.vhost("first");
    assert!(url.ends_with("/first"));
    node.add_user("someone", "secret");
    node.permit("someone", "first", "", ".*", "");
    node.permit_topic("someone", "first", "amq.topic", "^a\\.", ".*");
    assert_eq!(node.queue("first", "none"), None);
    assert_eq!(node.connections(), 0);
    node.raise_memory_alarm();
    node.clear_memory_alarm();

    node.kill9();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    node.restart();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(node.eval("rabbit_vhost:exists(<<\"first\">>)").contains("true"));

    drop(node);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// The other half of the test below: started by it as a process of its own.
#[test]
#[ignore = "started by the test below"]
fn holds_a_node_until_it_is_killed() {
    let node = Node::start();
    println!("PORT {}", node.port());
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_node_goes_even_when_the_test_process_is_killed() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "node::holds_a_node_until_it_is_killed", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find_map(|line| line.split_once("PORT ").map(|(_, rest)| rest.to_owned())).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    block_until("the orphaned node to go", Duration::from_secs(20), || {
        TcpStream::connect(("127.0.0.1", port)).is_err().then_some(())
    });
}
