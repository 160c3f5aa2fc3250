//! A private node boots, obeys, comes back after a kill, and leaves nothing behind.

use std::net::TcpStream;
use testkit::Node;

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
