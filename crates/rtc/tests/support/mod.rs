//! A room of endpoints in one process: signals are carried between them, the rest is loopback UDP.

#![allow(dead_code)]

use std::collections::HashMap;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rtc::{ChannelConfig, Config, Endpoint, Event, PeerId, Reliability, Role, Signal, SignalError};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn channel(ordered: bool, reliability: Reliability, priority: u8) -> ChannelConfig {
    ChannelConfig { label: format!("lane-{priority}"), ordered, reliability, priority }
}

/// Urgent, bulk, unordered, few retransmissions, short life.
pub fn channels() -> Vec<ChannelConfig> {
    vec![
        channel(true, Reliability::Reliable, 0),
        channel(true, Reliability::Reliable, 9),
        channel(false, Reliability::Reliable, 5),
        channel(false, Reliability::MaxRetransmits(0), 5),
        channel(true, Reliability::MaxLifetime(200), 5),
    ]
}

pub fn config() -> Config {
    Config { loopback: true, ..Config::new(channels()) }
}

/// Endpoints by index, their connections, and what happened that nobody asked for yet.
pub struct Net {
    pub endpoints: Vec<Endpoint>,
    links: HashMap<(usize, PeerId), (usize, PeerId)>,
    pub seen: Vec<(usize, Event)>,
    pub refused: Vec<SignalError>,
    /// The last description each end made.
    pub descriptions: HashMap<(usize, PeerId), String>,
    /// Endpoints that are not polled.
    pub frozen: Vec<bool>,
}

impl Net {
    pub fn new(count: usize) -> Net {
        Net::with((0..count).map(|_| config()))
    }

    pub fn with(configs: impl Iterator<Item = Config>) -> Net {
        let endpoints: Vec<_> = configs.map(|config| Endpoint::bind(config).expect("bind")).collect();
        Net {
            frozen: vec![false; endpoints.len()],
            endpoints,
            links: HashMap::new(),
            descriptions: HashMap::new(),
            seen: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Begins a connection; `a` offers.
    pub fn connect(&mut self, a: usize, b: usize) -> (PeerId, PeerId) {
        let at_b = self.endpoints[b].connect(Role::Answer).expect("peer");
        let at_a = self.endpoints[a].connect(Role::Offer).expect("peer");
        self.links.insert((a, at_a), (b, at_b));
        self.links.insert((b, at_b), (a, at_a));
        (at_a, at_b)
    }

    /// Connects and waits until both ends are open.
    pub async fn open(&mut self, a: usize, b: usize) -> (PeerId, PeerId) {
        let (at_a, at_b) = self.connect(a, b);
        self.until(|net| net.is_open(a, at_a) && net.is_open(b, at_b)).await;
        (at_a, at_b)
    }

    pub fn is_open(&self, at: usize, id: PeerId) -> bool {
        self.seen.iter().any(|(index, event)| *index == at && matches!(event, Event::Open { peer, .. } if *peer == id))
    }

    /// Messages that arrived at this end, in order, with their lane.
    pub fn data(&self, at: usize, id: PeerId) -> Vec<(u16, bytes::Bytes)> {
        let of = |(index, event): &(usize, Event)| match event {
            Event::Data { peer, lane, bytes } if *index == at && *peer == id => Some((lane.0, bytes.clone())),
            _ => None,
        };
        self.seen.iter().filter_map(of).collect()
    }

    pub fn down(&self, at: usize, id: PeerId) -> Option<rtc::DownReason> {
        self.seen.iter().find_map(|(index, event)| match event {
            Event::Down { peer, reason } if *index == at && *peer == id => Some(*reason),
            _ => None,
        })
    }

    /// Serves everyone until the condition holds.
    pub async fn until(&mut self, mut done: impl FnMut(&mut Net) -> bool) {
        let work = async {
            loop {
                while self.take_events() {}
                if done(self) {
                    return;
                }
                while self.take_events() {}
                self.wait().await;
            }
        };
        if tokio::time::timeout(PATIENCE, work).await.is_err() {
            let tail: Vec<_> = self.seen.iter().rev().take(5).collect();
            panic!("not within {PATIENCE:?}; refused {:?}, last events {tail:?}", self.refused);
        }
    }

    /// Serves everyone for a while.
    pub async fn run_for(&mut self, time: Duration) {
        let work = async {
            loop {
                while self.take_events() {}
                self.wait().await;
            }
        };
        let _ = tokio::time::timeout(time, work).await;
    }

    /// Moves events out of the endpoints and signals across. Returns whether there were any.
    fn take_events(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.endpoints.len() {
            while !self.frozen[index]
                && let Some(event) = self.endpoints[index].poll_event()
            {
                any = true;
                if let Event::Signal { peer, signal } = event {
                    self.carry(index, peer, signal);
                } else {
                    self.seen.push((index, event));
                }
            }
        }
        any
    }

    fn carry(&mut self, from: usize, peer: PeerId, signal: Signal) {
        if let Signal::Offer(sdp) | Signal::Answer(sdp) = &signal {
            self.descriptions.insert((from, peer), sdp.clone());
        }
        if let Some((to, peer)) = self.links.get(&(from, peer)).copied()
            && let Err(error) = self.endpoints[to].signal(peer, signal)
        {
            self.refused.push(error);
        }
    }

    async fn wait(&mut self) {
        let frozen = &self.frozen;
        let mut waits: Vec<_> = self
            .endpoints
            .iter_mut()
            .zip(frozen)
            .filter(|(_, frozen)| !**frozen)
            .map(|(endpoint, _)| Box::pin(endpoint.wait()))
            .collect();
        let nap = tokio::time::sleep(Duration::from_millis(10));
        let mut nap = pin!(nap);
        poll_fn(|context| {
            let mut ready = nap.as_mut().poll(context).is_ready();
            for wait in &mut waits {
                ready |= wait.as_mut().poll(context).is_ready();
            }
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
