//! A private RabbitMQ.

use crate::{
    Certificates,
    admin::Admin,
    block_until,
    epmd::{epmd_names, start_epmd},
    place::{Place, free_port},
    processes::{Processes, kill_group, lock, signal_group, wait_stopped},
};
use rustix::process::Signal;
use std::{
    fmt::Write as _,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// A node answers in about 3 s; on a machine that is busy with other things it may take much longer.
const BOOT: Duration = Duration::from_secs(90);

/// A private RabbitMQ on 127.0.0.1, gone when dropped, and gone when the test's process is gone.
#[derive(Debug)]
pub struct Node {
    name: String,
    cookie: String,
    port: u16,
    tls_port: Option<u16>,
    epmd_port: u16,
    dist_port: u16,
    place: Place,
    certificates: Option<Certificates>,
    // Dropped in this order: the children, then the guard, which removes the folder.
    admin: Mutex<Option<Admin>>,
    server: Mutex<Option<Child>>,
    /// None for a node that joined another, whose it uses.
    epmd: Option<Child>,
    processes: Processes,
}

/// What a [`Node`] is to be like.
#[derive(Debug, Default)]
pub struct NodeBuilder {
    tls: bool,
    client_certificates: bool,
    configuration: String,
    joins: Option<Joins>,
}

/// The node of whose cluster another becomes a member.
#[derive(Debug, Clone)]
pub(crate) struct Joins {
    node: String,
    cookie: String,
    epmd_port: u16,
}

impl NodeBuilder {
    /// Listens for TLS too, with certificates made for it ([`Node::certificates`]).
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Listens for TLS and refuses clients without a certificate of its authority.
    #[must_use]
    pub fn tls_with_client_certificates(mut self) -> Self {
        self.client_certificates = true;
        self.tls()
    }

    /// Adds a line to `rabbitmq.conf`.
    #[must_use]
    pub fn configure(mut self, line: &str) -> Self {
        self.configuration.push_str(line);
        self.configuration.push('\n');
        self
    }

    /// Joins the cluster of that node.
    #[must_use]
    pub(crate) fn joins(mut self, node: Joins) -> Self {
        self.joins = Some(node);
        self
    }

    /// Starts the node and waits until it speaks AMQP.
    ///
    /// # Panics
    /// When RabbitMQ is not installed, or the node is not ready within 90 s.
    pub fn start(self) -> Node {
        Node::boot(self)
    }
}

impl Node {
    /// A node to be configured.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// A node without anything special.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The one node of this test binary, started at the first call. Only for tests that take a [`Self::vhost`] each and
    /// do nothing to the node as a whole.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Node> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The URL of the default vhost for the user `guest`.
    pub fn url(&self) -> String {
        self.url_for("guest", "guest", "/")
    }

    /// The URL for a user and a vhost.
    pub fn url_for(&self, user: &str, password: &str, vhost: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}/{}", self.port, vhost.replace('/', "%2f"))
    }

    /// The TLS URL of the default vhost; the host is `localhost`, as in the certificate.
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.tls_port())
    }

    /// The plain AMQP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The TLS port.
    ///
    /// # Panics
    /// When the node was not built with TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("the node was built with TLS")
    }

    /// The certificates made for this node.
    ///
    /// # Panics
    /// When the node was not built with TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the node was built with TLS")
    }

    /// Evaluates an Erlang expression on the node and returns its value as Erlang prints it.
    ///
    /// # Panics
    /// When the node is not running or the expression fails.
    pub fn eval(&self, expression: &str) -> String {
        let mut admin = lock(&self.admin);
        let admin =
            admin.get_or_insert_with(|| Admin::start(self.erlang("erl"), &self.name, &self.processes));
        admin.eval(expression)
    }

    /// Kills the broker as `kill -9` would.
    pub fn kill9(&self) {
        lock(&self.admin).take();
        if let Some(mut server) = lock(&self.server).take() {
            self.processes.end(&mut server);
            // The kernel takes a moment to end the Erlang machine, which is our grandchild, and to close its ports.
            block_until("the killed broker's port to close", Duration::from_secs(20), || {
                TcpStream::connect(("127.0.0.1", self.port)).is_err().then_some(())
            });
        }
    }

    /// Makes the broker stand still (SIGSTOP): its sockets stay open and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        wait_stopped(lock(&self.server).as_ref().expect("the broker runs").id());
    }

    /// Lets it go on after [`Self::pause`].
    pub fn unpause(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let server = lock(&self.server);
        let server = server.as_ref().expect("the broker runs");
        signal_group(server, signal).expect("the broker runs");
    }

    /// Starts the broker again on the same ports and files, after [`Self::kill9`]; kills it before if it runs.
    ///
    /// # Panics
    /// When it is not ready within 90 s.
    pub fn restart(&self) {
        self.kill9();
        // The name stays registered for a moment after its node was killed.
        block_until("the node's name to be free", Duration::from_secs(20), || {
            (!epmd_names(self.epmd_port).contains(&format!("name {} ", self.short_name()))).then_some(())
        });
        self.run();
    }

    /// The last lines of its log that are warnings or errors, at most so many.
    fn warnings(&self, most: usize) -> String {
        let files = std::fs::read_dir(self.place.outside.join("log")).into_iter().flatten().flatten();
        let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect::<String>();
        let lines: Vec<_> =
            texts.lines().filter(|line| line.contains("[warning]") || line.contains("[error]")).collect();
        lines[lines.len().saturating_sub(most)..].join("\n")
    }

    /// For another node, to join this one.
    pub(crate) fn to_join(&self) -> Joins {
        Joins { node: self.name.clone(), cookie: self.cookie.clone(), epmd_port: self.epmd_port }
    }

    /// As Erlang knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was started and not killed since.
    pub(crate) fn runs(&self) -> bool {
        lock(&self.server).is_some()
    }

    fn boot(wanted: NodeBuilder) -> Self {
        let place = Place::make();
        assert!(
            place.root.as_deref().unwrap_or(Path::new("/")).join(&SERVER[1..]).exists(),
            "RabbitMQ is not installed ({SERVER}): run ./test.sh, which installs what the tests need"
        );
        let processes = Processes::new(&place.outside);
        let certificates = wanted.tls.then(|| Certificates::generate(&place.outside));
        let (port, dist_port) = (free_port(), free_port());
        let tls_port = wanted.tls.then(free_port);
        let (epmd_port, epmd) = match &wanted.joins {
            Some(joins) => (joins.epmd_port, None),
            None => {
                let port = free_port();
                (port, Some(start_epmd(port, &place, &processes)))
            }
        };
        let cookie = match &wanted.joins {
            Some(joins) => joins.cookie.clone(),
            None => format!("TESTKIT{}{port}", std::process::id()),
        };
        let node = Self {
            name: format!("rabbit-{}-{}@localhost", std::process::id(), next_number()),
            cookie,
            port,
            tls_port,
            epmd_port,
            dist_port,
            place,
            certificates,
            admin: Mutex::new(None),
            server: Mutex::new(None),
            epmd,
            processes,
        };
        node.configure(&wanted);
        node.run();
        node
    }

    fn short_name(&self) -> &str {
        self.name.split('@').next().unwrap_or_default()
    }

    fn configure(&self, wanted: &NodeBuilder) {
        let mut text = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nvm_memory_high_watermark.absolute = 4GB\n\
             disk_free_limit.absolute = 1MB\nraft.wal_max_size_bytes = 64000000\n",
            self.port
        );
        if let Some(port) = self.tls_port {
            let inside = self.place.inside.display();
            let verify = if wanted.client_certificates { "verify_peer" } else { "verify_none" };
            let _ = write!(
                text,
                "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {inside}/ca.pem\n\
                 ssl_options.certfile = {inside}/server.pem\nssl_options.keyfile = {inside}/server.key.pem\n\
                 ssl_options.verify = {verify}\nssl_options.fail_if_no_peer_cert = {}\n",
                wanted.client_certificates
            );
        }
        if let Some(Joins { node, .. }) = &wanted.joins {
            let _ = write!(
                text,
                "cluster_formation.peer_discovery_backend = classic_config\n\
                 cluster_formation.classic_config.nodes.1 = {node}\n"
            );
        }
        text.push_str(&wanted.configuration);
        let folder = &self.place.outside;
        std::fs::write(folder.join("rabbitmq.conf"), text).unwrap();
        std::fs::write(folder.join("enabled_plugins"), "[].\n").unwrap();
        std::fs::write(folder.join("rabbitmq-env.conf"), "").unwrap();
        let cookie = folder.join(".erlang.cookie");
        std::fs::write(&cookie, &self.cookie).unwrap();
        std::fs::set_permissions(&cookie, PermissionsExt::from_mode(0o400)).unwrap();
    }

    fn run(&self) {
        let log = std::fs::File::create(self.place.outside.join("console.log")).unwrap();
        let mut child = self
            .processes
            .spawn(self.erlang(SERVER).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log));
        block_until(&format!("the RabbitMQ node {}", self.name), BOOT, || {
            if let Ok(Some(status)) = child.try_wait() {
                let said = std::fs::read_to_string(self.place.outside.join("console.log"));
                panic!("RabbitMQ ended at its start ({status}):\n{}", said.unwrap_or_default());
            }
            speaks_amqp(self.port).then_some(())
        });
        *lock(&self.server) = Some(child);
        // The other listeners open after the first one.
        self.expect_ok("rabbit:await_startup()");
    }

    /// A command in this node's environment.
    fn erlang(&self, program: &str) -> Command {
        let inside = self.place.inside.display().to_string();
        let path = |name: &str| format!("{inside}/{name}");
        let calm = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none \
                    -kernel inet_dist_use_interface {127,0,0,1}";
        let mut command = self.place.command(
            program,
            &[
                ("HOME", inside.clone()),
                ("ERL_EPMD_PORT", self.epmd_port.to_string()),
                ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
                ("RABBITMQ_NODENAME", self.name.clone()),
                ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
                ("RABBITMQ_NODE_PORT", self.port.to_string()),
                ("RABBITMQ_DIST_PORT", self.dist_port.to_string()),
                ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
                ("RABBITMQ_CONF_ENV_FILE", path("rabbitmq-env.conf")),
                ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
                ("RABBITMQ_MNESIA_BASE", path("mnesia")),
                ("RABBITMQ_LOG_BASE", path("log")),
                ("RABBITMQ_GENERATED_CONFIG_DIR", path("generated")),
                ("RABBITMQ_PID_FILE", path("pid")),
                ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", calm.into()),
                // So that the script becomes the Erlang machine, in place of a shell that watches over it.
                ("RUNNING_UNDER_SYSTEMD", "1".into()),
                ("LC_ALL", "C.UTF-8".into()),
            ],
        );
        if program == "erl" {
            command.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
        }
        command
    }
}

impl Drop for Node {
    #[allow(clippy::print_stdout)] // the harness shows it with the test that failed
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("what {} warned of last:\n{}", self.name, self.warnings(20));
        }
        self.kill9();
        self.epmd.as_mut().map(kill_group);
    }
}

fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether the broker answers the protocol header with its Connection.Start (a method frame, type 1).
fn speaks_amqp(port: u16) -> bool {
    let answer = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\0\0\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    answer().is_ok_and(|first| first == 1)
}
