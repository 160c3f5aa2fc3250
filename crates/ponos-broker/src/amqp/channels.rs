//! The confirm channels of a publisher's connection: the lanes, and one apart from them.

use super::{
    super::{Fence, Publishing, Settlement},
    confirms::Confirms,
    publisher::lose,
    refused_routes::RefusedRoutes,
};
use std::{future::poll_fn, task::Poll};
use tokio::{sync::mpsc::Receiver, time::Instant};

/// The confirm channels of a connection.
pub(super) struct Channels {
    pub(super) lanes: Vec<Confirms>,
    /// For what goes where one was refused: one at a time, so that nothing but a refused one itself goes with the channel.
    /// It is closed until something is to go there.
    pub(super) apart: Confirms,
}

impl Channels {
    pub(super) fn new(lanes: Vec<Confirms>) -> Self {
        Self { lanes, apart: Confirms::new(1) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Confirms> {
        self.lanes.iter().chain([&self.apart])
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Confirms> {
        self.lanes.iter_mut().chain([&mut self.apart])
    }

    /// The lane of a publishing.
    pub(super) fn lane(&mut self, publishing: &Publishing) -> &mut Confirms {
        let lane = usize::try_from(publishing.lane).unwrap_or(0) % self.lanes.len();
        &mut self.lanes[lane]
    }

    /// The first for which a channel is to be opened.
    pub(super) fn wanting(&mut self) -> Option<&mut Confirms> {
        self.iter_mut().find(|confirms| confirms.wants_a_channel())
    }

    /// Sets those apart that wait in a lane and would only cost its next channel.
    pub(super) fn set_apart(&mut self, refused: &RefusedRoutes) {
        for lane in &mut self.lanes {
            for (publishing, deadline) in lane.withdraw(|publishing| refused.meet(publishing)) {
                self.apart.take(publishing, deadline);
            }
        }
    }

    /// Once the broker has accepted one that was set apart: what waits behind it for the same route goes back to its lane.
    pub(super) fn let_back(&mut self, refused: &mut RefusedRoutes) {
        let Some(accepted) = self.apart.accepted() else { return };
        refused.forget(&accepted);
        for (publishing, deadline) in self.apart.withdraw(|publishing| !refused.meet(publishing)) {
            self.lane(&publishing).take(publishing, deadline);
        }
    }

    /// Writes what there is room for. Once the fence holds one back, all is lost that waits behind it, in whatever lane, and that was
    /// submitted: else what comes later would go before it, if the fence opens again before the caller knows.
    pub(super) fn write(
        &mut self,
        (user, frame_max, now): (Option<&str>, u32, Instant),
        fence: &Fence,
        (submitted, unsaid): (&mut Receiver<Vec<Publishing>>, &mut Vec<Settlement>),
    ) {
        if self.iter_mut().all(|confirms| confirms.write(user, frame_max, fence, now)) {
            return;
        }
        self.iter_mut().for_each(Confirms::drop_backlog);
        for _ in 0..submitted.len() {
            if let Ok(batch) = submitted.try_recv() {
                lose(unsaid, batch);
            }
        }
    }

    /// Until confirms came on any channel.
    pub(super) async fn confirmed(&mut self) {
        poll_fn(|cx| {
            let mut came = Poll::Pending;
            for confirms in self.iter_mut() {
                if confirms.is_flying() && confirms.poll_confirmed(cx).is_ready() {
                    came = Poll::Ready(());
                }
            }
            came
        })
        .await;
    }

    /// Settles the confirms that came before the connection was lost, without waiting for more.
    pub(super) async fn settle_what_came(&mut self) {
        poll_fn(|cx| {
            for confirms in self.iter_mut().filter(|confirms| confirms.is_flying()) {
                // Whether something came makes no difference here.
                let _ = confirms.poll_confirmed(cx);
            }
            Poll::Ready(())
        })
        .await;
    }
}
