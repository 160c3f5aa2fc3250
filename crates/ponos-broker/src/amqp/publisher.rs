//! A publisher's task: connects for ever, spreads what is submitted over its confirm channels, hands settlements back.

mod caller_side;
mod serving;

use super::{
    super::{Link, LinkError, PublisherTask},
    blame::Blame,
    channels::Channels,
    config::AmqpConfig,
    confirms::Confirms,
    connection::Session,
    declare::declare,
    refused_routes::RefusedRoutes,
};
use caller_side::CallerSide;
pub(super) use caller_side::lose;
use futures_util::future::BoxFuture;
use ponos_event::topology::Topology;
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// A connection that held this long resets the backoff.
const HELD: Duration = Duration::from_secs(5);

/// Runs until the handle is dropped.
pub(super) async fn run(config: AmqpConfig, topology: watch::Receiver<Topology>, task: PublisherTask) {
    let PublisherTask { submitted, settled, link } = task;
    let mut caller = CallerSide { submitted, settled, unsaid: Vec::new() };
    let mut supervisor = PublisherSupervisor {
        config,
        topology,
        link,
        generation: 0,
        alone: 0,
        refused: RefusedRoutes::default(),
    };
    supervisor.run(&mut caller).await;
    caller.say_the_rest(supervisor.config.call_timeout).await;
    supervisor.link.send_replace(Link::Closed);
}

struct PublisherSupervisor {
    config: AmqpConfig,
    topology: watch::Receiver<Topology>,
    link: watch::Sender<Link>,
    generation: u64,
    /// How many are to be sent one at a time, after a message may have cost us the connection.
    alone: usize,
    /// What goes there is published apart from the lanes.
    refused: RefusedRoutes,
}

/// How a connection ended.
enum ConnectionEnd {
    /// The handle was dropped.
    Closed,
    /// It was lost.
    Lost(LinkError),
}

impl PublisherSupervisor {
    async fn run(&mut self, caller: &mut CallerSide) {
        let mut failures = 0_u32;
        loop {
            let opened = caller.losing_while(Box::pin(self.open())).await;
            let mut elects = false;
            let error = match opened {
                None => return,
                Some(Err(error)) => error,
                Some(Ok((session, channels))) => {
                    let since = Instant::now();
                    let end = self.serve(&session, channels, caller).await;
                    if let ConnectionEnd::Lost(error) = &end {
                        elects = session.lost_its_node(error);
                        // Before what was on it is reported as lost, and before the goodbye, which may take long.
                        self.down(failures.saturating_add(1), error.clone());
                    }
                    let closing = caller.losing_while(Box::pin(session.close())).await;
                    match end {
                        ConnectionEnd::Closed => return,
                        ConnectionEnd::Lost(_) if closing.is_none() => return,
                        ConnectionEnd::Lost(error) => {
                            if since.elapsed() >= HELD {
                                failures = 0;
                            }
                            error
                        }
                    }
                }
            };
            failures = failures.saturating_add(1);
            self.down(failures, error);
            let wait = self.config.backoff(failures, elects);
            if caller.losing_while(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn open(&self) -> Result<(Session, Channels), LinkError> {
        let session = Session::open(&self.config, "publishing").await?;
        declare(&session, &self.topology()).await?;
        let mut lanes = Vec::new();
        for _ in 0..self.config.channels.max(1) {
            let mut confirms = Confirms::new(self.config.window);
            confirms.revive(session.confirm_channel().await?);
            confirms.one_at_a_time(self.alone);
            lanes.push(confirms);
        }
        Ok((session, Channels::new(lanes)))
    }

    fn down(&self, attempts: u32, error: LinkError) {
        self.link.send_replace(Link::Down { attempts, error: Some(error) });
    }

    fn up(&self, session: &Session) {
        let user = session.user().map(str::to_owned);
        self.link.send_replace(Link::Up { generation: self.generation, broker: session.broker(), user });
    }

    async fn serve(
        &mut self,
        session: &Session,
        mut channels: Channels,
        caller: &mut CallerSide,
    ) -> ConnectionEnd {
        self.generation += 1;
        self.alone = 0;
        let mut events = session.events();
        self.up(session);
        let end = self.publish(session, &mut channels, &mut events, caller).await;
        let in_flight: usize = channels.iter().map(Confirms::unsettled).sum();
        let blames = channels.iter().filter_map(|confirms| Some(Blame::of(confirms.death()?, true)));
        let mut blame = blames.into_iter().find(|blame| blame.message().is_some()).unwrap_or(Blame::Nobody);
        if blame.message().is_some() && in_flight > 1 {
            self.alone = in_flight;
            blame = Blame::Nobody;
        }
        for confirms in channels.iter_mut() {
            confirms.bury(&blame);
            confirms.drop_backlog();
            caller.unsaid.extend(confirms.settlements());
        }
        end
    }

    /// As it is now.
    fn topology(&self) -> Topology {
        self.topology.borrow().clone()
    }
}

/// The result of a check, once one is under way.
pub(super) async fn answer_of<T>(look: &mut Option<BoxFuture<'_, T>>) -> T {
    match look {
        Some(look) => look.await,
        None => std::future::pending().await,
    }
}
