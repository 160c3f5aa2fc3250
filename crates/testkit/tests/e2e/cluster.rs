//! Three nodes join, elect, are cut off from each other, and come back.

use std::{net::TcpStream, time::Duration};
use testkit::{Cluster, block_until};

#[test]
fn three_nodes_join_share_a_vhost_pause_as_a_minority_and_come_back_after_a_kill() {
    let cluster = Cluster::start();
    let url = cluster.vhost("shared");
    let ports: Vec<u16> = cluster.nodes().iter().map(testkit::Node::port).collect();
    assert!(url.contains(&format!("127.0.0.1:{},127.0.0.1:{}", ports[0], ports[1])), "{url}");
    let knows = |node: usize| cluster.nodes()[node].eval("rabbit_vhost:exists(<<\"shared\">>)") == "true";
    assert!(knows(0) && knows(1) && knows(2));

    let listens = |node: usize| TcpStream::connect(("127.0.0.1", ports[node])).is_ok();
    if cluster.nodes()[0].version() < (4, 3) {
        cluster.cut_off(1);
        block_until("the minority to pause", Duration::from_secs(30), || (!listens(1)).then_some(()));
        assert!(listens(0) && listens(2), "the majority goes on");
        cluster.reconnect(1);
        cluster.mend();
        assert!(listens(1));
    }

    cluster.nodes()[0].kill9();
    cluster.nodes()[0].restart();
    cluster.mend();
    assert!(knows(0));
}
