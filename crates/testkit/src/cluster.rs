//! A private cluster of RabbitMQ.

use crate::{Node, block_until, node::NodeBuilder};
use std::{thread, time::Duration};

/// How long nodes may take to join, to pause, and to come back.
const LIMIT: Duration = Duration::from_secs(60);

/// Three nodes of one cluster, gone when dropped. A minority of them pauses (`pause_minority`).
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts one node, then two at once that join it: that is sooner done than all three at once.
    ///
    /// # Panics
    /// When RabbitMQ is not installed, or a node is not ready in time.
    pub fn start() -> Self {
        let member = || NodeBuilder::default().configure("cluster_partition_handling = pause_minority");
        let first = member().start();
        let joined: Vec<Node> = thread::scope(|scope| {
            let joining: Vec<_> =
                (0..2).map(|_| scope.spawn(|| member().joins(first.to_join()).start())).collect();
            joining.into_iter().map(|node| node.join().expect("a node joins")).collect()
        });
        let cluster = Self { nodes: std::iter::once(first).chain(joined).collect() };
        cluster.await_all();
        cluster
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Creates a vhost that `guest` may use; returns its URL, with all nodes in their order.
    pub fn vhost(&self, name: &str) -> String {
        self.some_node().vhost(name);
        self.url_from(0, name)
    }

    /// The URL of a vhost for the user `guest`, with all nodes, that one first.
    pub fn url_from(&self, first: usize, vhost: &str) -> String {
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.rotate_left(first);
        let hosts: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("amqp://guest:guest@{}/{}", hosts.join(","), vhost.replace('/', "%2f"))
    }

    /// The place of the node that leads a quorum queue.
    pub fn leader(&self, vhost: &str, queue: &str) -> usize {
        let name = self.some_node().leader_of(vhost, queue);
        self.nodes.iter().position(|node| node.name() == name).expect("one of us leads")
    }

    /// Cuts a node off from the others: a partition, in which it is the minority. Its clients are not cut off from it.
    pub fn cut_off(&self, node: usize) {
        self.for_others(node, "erlang:set_cookie(N, cut_off), erlang:disconnect_node(N)");
    }

    /// Lets it find the others again.
    pub fn reconnect(&self, node: usize) {
        self.for_others(node, "erlang:set_cookie(N, erlang:get_cookie()), net_adm:ping(N)");
    }

    /// Reconnects what was cut off, starts what was killed, and waits until all nodes run in one cluster.
    pub fn mend(&self) {
        for node in (0..self.nodes.len()).filter(|&node| self.nodes[node].runs()) {
            self.reconnect(node);
        }
        for node in self.nodes.iter().filter(|node| !node.runs()) {
            node.restart();
        }
        self.await_all();
    }

    fn for_others(&self, node: usize, what: &str) {
        let this = &self.nodes[node];
        let others = self.nodes.iter().filter(|other| other.name() != this.name());
        let names: Vec<String> = others.map(|other| format!("'{}'", other.name())).collect();
        this.eval(&format!("[begin {what} end || N <- [{}]]", names.join(", ")));
    }

    fn some_node(&self) -> &Node {
        self.nodes.iter().find(|node| node.runs()).expect("a node runs")
    }

    /// That each node sees RabbitMQ run on all.
    fn await_all(&self) {
        for node in &self.nodes {
            let running = "[N || N <- [node() | nodes()], rpc:call(N, rabbit, is_running, []) =:= true]";
            block_until("all nodes to run in one cluster", LIMIT, || {
                (node.eval(&format!("length({running})")) == "3").then_some(())
            });
        }
    }
}
