//! The one task of a member: it owns the member machine, the links and the socket, and is the only one to touch them.
//!
//! The application's handles reach it over bounded queues, and it reaches the application through the inbox, which
//! never makes it wait. So an application that stalls holds up no ping and no acknowledgement.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use room::{
    limits,
    member::{Answer, Config, Event as MachineEvent, Input, Joined, Lossy, Member, Output},
    time::{Micros, Time},
};
use signer::Signer;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::{Instant, Sleep, sleep},
};

use crate::{
    Closed, Event, JoinError, Link, Message, Payload, PinError,
    call::{Handling, Incoming, no_handler},
    event::Mode,
    limits::TAKEN_PER_TURN,
    links::{LinkId, Links},
    membership::{Command, Publish, Requests},
    secrecy::{Heard, Secrecy},
    shared::Shared,
    socket::{Failure, Socket, SocketEvent},
};

pub(crate) struct Driver {
    machine: Member,
    /// Stands between the machine and everything else here.
    secrecy: Secrecy,
    /// What it makes of an event; empty between events.
    heard: Vec<Heard>,
    signer: Signer,
    started: Instant,
    links: Links,
    socket: Socket,
    commands: mpsc::Receiver<(Command, OwnedSemaphorePermit)>,
    publishes: mpsc::Receiver<Publish>,
    handling: Handling,
    /// Who waits for the answer of which call.
    calls: BTreeMap<u64, oneshot::Sender<Answer>>,
    /// Who waits for the server's word on which wish how the room should be linked; the machine bounds them.
    pins: BTreeMap<u64, oneshot::Sender<Result<(), PinError>>>,
    /// Inputs that outputs caused: a link that could not be opened.
    caused: VecDeque<Input>,
    /// Who waits to be in the room.
    entering: Option<oneshot::Sender<Result<(), JoinError>>>,
    leaving: bool,
    draining: bool,
    closed: Option<Closed>,
    /// The socket is being closed; perhaps for good.
    parting: bool,
    /// Links to be closed once the hub has told the others why: else they would see them fail.
    parted: Vec<LinkId>,
    application: Application,
    /// Dropped with the driver, which is how leaving is waited for.
    _ended: watch::Sender<()>,
}

/// The application's side, closed whatever ends the driver.
struct Application(Arc<Shared>);

impl Drop for Application {
    fn drop(&mut self) {
        self.0.close(Closed {
            code: None,
            reason: "the member's task ended".to_owned(),
            hint: "join again, in a runtime that lasts".to_owned(),
        });
    }
}

/// Who the member is this time, and what it keeps to itself.
pub(crate) struct Session {
    pub config: Config,
    pub secrecy: Secrecy,
    /// Of the key in `config`.
    pub signer: Signer,
}

impl Driver {
    pub(crate) fn new(
        session: Session,
        links: Links,
        socket: Socket,
        shared: Arc<Shared>,
        requests: Requests,
        entering: oneshot::Sender<Result<(), JoinError>>,
    ) -> Driver {
        Driver {
            machine: Member::new(session.config, Time(0)),
            secrecy: session.secrecy,
            heard: Vec::new(),
            signer: session.signer,
            started: Instant::now(),
            links,
            socket,
            commands: requests.commands,
            publishes: requests.publishes,
            handling: Handling::default(),
            calls: BTreeMap::new(),
            pins: BTreeMap::new(),
            caused: VecDeque::new(),
            entering: Some(entering),
            leaving: false,
            draining: false,
            closed: None,
            parting: false,
            parted: Vec::new(),
            application: Application(shared),
            _ended: requests.driver,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut timer = pin!(sleep(Duration::ZERO));
        loop {
            self.perform();
            if self.closed.is_some() {
                break;
            }
            self.arm(timer.as_mut());
            // While an outbox is full, sends stay in their queue, which then fills, which makes `send().await` wait.
            let takes_commands = !self.machine.is_waiting();
            let shared = &self.application.0;
            tokio::select! {
                // In the order in which things matter; whatever woke it, `turn` then looks at everything else too, so
                // that none of them keeps those below it waiting.
                biased;
                // The hub: rare, and what it says is what all else is about.
                event = self.socket.next() => self.socket_event(event),
                // Links: this also sends what the last turn queued.
                () = self.links.wait() => {}
                // The application took messages, gave a call up, or leaves.
                () = shared.inbox.bell.notified() => {}
                // A handler of a call is done.
                reply = self.handling.next(), if takes_commands => self.handle(reply),
                // What the application sends.
                Some(publish) = self.publishes.recv() => self.publish(publish),
                Some((command, _room)) = self.commands.recv(), if takes_commands => self.command(command),
                // Last, since what came before it may have moved it.
                () = timer.as_mut() => {}
            }
            self.turn();
        }
        self.finish().await;
    }

    /// Takes what is there, of each kind as much as is fair; then the outputs of all of it go out together.
    fn turn(&mut self) {
        while let Some(input) = self.links.poll() {
            self.handle(input);
        }
        let shared = Arc::clone(&self.application.0);
        for taken in shared.inbox.taken() {
            self.handle(Input::Consumed { from: taken.from, bytes: taken.bytes, lossy: taken.lossy });
        }
        for ticket in shared.cancelled_calls() {
            if self.calls.remove(&ticket).is_some() {
                self.handle(Input::CancelCall { ticket });
            }
        }
        for _ in 0..TAKEN_PER_TURN {
            let Ok(publish) = self.publishes.try_recv() else { break };
            self.publish(publish);
        }
        for _ in 0..TAKEN_PER_TURN {
            if self.machine.is_waiting() {
                break;
            }
            let Some(reply) = self.handling.try_next() else { break };
            self.handle(reply);
        }
        while let Some(input) = self.handling.start() {
            self.handle(input);
        }
        for _ in 0..TAKEN_PER_TURN {
            if self.machine.is_waiting() {
                break;
            }
            let Ok((command, _room)) = self.commands.try_recv() else { break };
            self.command(command);
        }
        if !self.draining && self.application.0.is_draining() {
            self.draining = true;
            self.handle(Input::Drain);
        }
        if !self.leaving && self.wants_to_leave() {
            self.leave();
        }
        if self.machine.poll_timeout().is_some_and(|due| due <= self.now()) {
            self.handle(Input::Timeout);
        }
    }

    fn now(&self) -> Time {
        Time(0) + Micros::from(self.started.elapsed())
    }

    fn handle(&mut self, input: Input) {
        if let Some(input) = self.secrecy.outgoing(input) {
            self.machine.handle(self.now(), input);
        }
    }

    fn arm(&self, timer: std::pin::Pin<&mut Sleep>) {
        // Where nothing is due, something else will wake the driver.
        const IDLE: Micros = Micros::from_secs(3_600);
        let due = self.machine.poll_timeout().unwrap_or(self.now() + IDLE);
        let deadline = self.started + Duration::from(due.since(Time(0)));
        if timer.deadline() != deadline || timer.is_elapsed() {
            timer.reset(deadline);
        }
    }

    // ---- what comes in --------------------------------------------------------------------------

    fn socket_event(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Open { token } => {
                if token.is_some() {
                    self.handle(Input::SetToken { token });
                }
                self.handle(Input::Connected);
            }
            SocketEvent::Message(message) => self.handle(Input::Hub(message)),
            SocketEvent::Carried(message) => self.handle(Input::Carried { message }),
            SocketEvent::Down { code, reason } => {
                if reason.is_final()
                    && let Some(entering) = self.entering.take()
                {
                    // Nobody listens where the application does not want to enter any more.
                    let _ = entering.send(Err(not_entered(&reason)));
                    self.leave();
                    return;
                }
                tracing::debug!(%reason, "the socket to the server is down");
                self.handle(Input::Disconnected { code, reason: reason.to_string() });
            }
        }
    }

    fn command(&mut self, command: Command) {
        let input = match command {
            Command::Send { ticket, channel, to, payload } => Input::Send { ticket, channel, to, payload },
            Command::Call { ticket, to, method, payload, timeout, answer } => {
                if answer.is_closed() {
                    return;
                }
                self.calls.insert(ticket, answer);
                Input::Call { ticket, to, method, payload, timeout }
            }
            Command::SetState { key, value } => Input::SetState { key, value },
            Command::SetAttributes { set } => Input::SetAttributes { set },
            Command::Pin { ticket, topology, answer } => {
                self.pins.insert(ticket, answer);
                Input::Pin { ticket, topology }
            }
        };
        self.handle(input);
    }

    fn publish(&mut self, Publish { mode, channel, to, payload }: Publish) {
        self.handle(Input::Publish { mode, channel, to, payload });
    }

    fn wants_to_leave(&self) -> bool {
        self.application.0.is_leaving()
    }

    /// Everything that the application sent goes before: there is no more of it than the machine lets wait.
    fn leave(&mut self) {
        self.leaving = true;
        while let Ok((command, _room)) = self.commands.try_recv() {
            self.command(command);
        }
        while let Ok(publish) = self.publishes.try_recv() {
            self.publish(publish);
        }
        self.handle(Input::Leave);
    }

    // ---- what goes out --------------------------------------------------------------------------

    fn perform(&mut self) {
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.output(output);
            }
            let Some(input) = self.caused.pop_front() else { break };
            self.handle(input);
        }
        if self.closed.is_none() {
            self.part();
        }
    }

    fn part(&mut self) {
        self.parting = false;
        for link in self.parted.drain(..) {
            self.links.close(link);
        }
    }

    fn output(&mut self, output: Output) {
        let outcome = match output {
            Output::Connect => {
                self.socket.open();
                Ok(())
            }
            Output::Disconnect => {
                self.socket.close();
                self.parting = true;
                Ok(())
            }
            Output::Tell(message) => {
                self.socket.tell(&message);
                Ok(())
            }
            Output::Open { peer, attempt, role } => {
                self.part();
                self.links.open((peer, attempt), role)
            }
            Output::Remote { peer, attempt, data } => self.links.remote((peer, attempt), data),
            Output::RestartIce { peer, attempt } => {
                self.links.restart((peer, attempt));
                Ok(())
            }
            Output::Close { peer, attempt } => {
                self.parted.push((peer, attempt));
                if !self.parting {
                    self.part();
                }
                Ok(())
            }
            Output::Packet { peer, attempt, lane, bytes } => self.links.send((peer, attempt), lane, bytes),
            // Answered before anything else is done, so that signatures go in one packet with what they are of.
            Output::Sign { token, text } => {
                self.handle(Input::Signed { token, signature: self.signer.sign(&text) });
                Ok(())
            }
            Output::Verify { token, key, text, signature } => {
                self.handle(Input::Verified { token, good: signer::verify(&key, &text, &signature) });
                Ok(())
            }
            Output::Carry { message } => {
                self.socket.carry(message);
                Ok(())
            }
            Output::Event(event) => {
                self.hear(event);
                Ok(())
            }
            other => {
                tracing::warn!(?other, "the member asks for what this driver does not know");
                Ok(())
            }
        };
        if let Err(input) = outcome {
            self.caused.push_back(*input);
        }
    }

    fn hear(&mut self, event: MachineEvent) {
        let mut heard = std::mem::take(&mut self.heard);
        self.secrecy.incoming(event, &mut heard);
        for heard in heard.drain(..) {
            match heard {
                Heard::Event(event) => self.event(event),
                Heard::Unreadable(member, reason) => self.tell(Event::Unreadable { member, reason }),
                Heard::Input(input) => self.machine.handle(self.now(), input),
            }
        }
        self.heard = heard;
    }

    fn event(&mut self, event: MachineEvent) {
        match event {
            MachineEvent::Message { from, channel, addressed, payload } => {
                self.deliver(Message {
                    from,
                    channel,
                    mode: Mode::Reliable,
                    addressed,
                    data: Payload::from_cbor(payload),
                });
            }
            MachineEvent::Lossy { from, mode, channel, payload } => {
                let mode = match mode {
                    Lossy::Latest => Mode::Latest,
                    Lossy::Datagram => Mode::Datagram,
                };
                self.deliver(Message { from, channel, mode, addressed: false, data: Payload::from_cbor(payload) });
            }
            MachineEvent::Call { from, call, method, payload } => self.call(from, call, &method, payload),
            MachineEvent::Called { ticket, answer } => {
                if let Some(waiting) = self.calls.remove(&ticket) {
                    // Who gave up does not want to know.
                    let _ = waiting.send(answer);
                }
            }
            MachineEvent::Sent { .. } => {}
            // What could be known was checked when it was sent: the addressee left since, or the room was closed.
            MachineEvent::NotSent { why, .. } => tracing::debug!(%why, "a message was not sent"),
            MachineEvent::Joined(joined) => self.joined(*joined),
            MachineEvent::Closed { code, reason, hint } => self.close(Closed { code, reason, hint }),
            MachineEvent::MemberJoin(member) => {
                self.application.0.update(|view| drop(view.members.insert(member.id, member.clone())));
                self.tell(Event::MemberJoin(member));
            }
            MachineEvent::MemberLeave { member, reason } => {
                self.application.0.update(|view| drop(view.members.remove(&member.id)));
                self.tell(Event::MemberLeave { member, reason });
            }
            MachineEvent::MemberUpdate(member) => {
                self.application.0.update(|view| {
                    if view.this.id == member.id {
                        view.this = member.clone();
                    } else {
                        view.members.insert(member.id, member.clone());
                    }
                });
                self.tell(Event::MemberUpdate(member));
            }
            MachineEvent::Link { peer, state, path, rtt, reason } => {
                self.tell(Event::Link(Link { member: peer, state, path, rtt: rtt.map(Duration::from), reason }));
            }
            MachineEvent::Gap { member, addressed, from_seq, to_seq } => {
                self.tell(Event::Gap { member, addressed, from_seq, to_seq });
            }
            MachineEvent::State { key, value, by } => {
                self.application.0.update(|view| {
                    if value.is_null() {
                        view.state.remove(&key);
                    } else {
                        view.state.insert(key.clone(), value.clone());
                    }
                });
                self.tell(Event::State { key, value, by });
            }
            MachineEvent::Topology { from, to } => {
                self.application.0.update(|view| view.topology.clone_from(&to));
                self.tell(Event::Topology { from, to });
            }
            MachineEvent::Pin { pin } => {
                self.application.0.update(|view| view.pin.clone_from(&pin));
                self.tell(Event::Pin { topology: pin });
            }
            MachineEvent::Pinned { ticket } => self.pinned(ticket, Ok(())),
            MachineEvent::NotPinned { ticket, why } => self.pinned(ticket, Err(why.into())),
            MachineEvent::Refused { code, message, hint } => self.tell(Event::Refused { code, message, hint }),
            MachineEvent::Reconnecting { reason } => self.tell(Event::Reconnecting { reason }),
            MachineEvent::Reconnected { resumed } => self.tell(Event::Reconnected { resumed }),
            other => tracing::warn!(?other, "the member tells what this driver does not know"),
        }
    }

    fn pinned(&mut self, ticket: u64, answer: Result<(), PinError>) {
        if let Some(waiting) = self.pins.remove(&ticket) {
            // Who gave up does not want to know.
            let _ = waiting.send(answer);
        }
    }

    fn deliver(&self, message: Message) {
        self.application.0.inbox.deliver(message);
    }

    fn tell(&self, event: Event) {
        self.application.0.inbox.tell(event);
    }

    fn call(&mut self, from: room::id::MemberId, call: u64, method: &str, payload: bytes::Bytes) {
        match self.application.0.handler(method) {
            Some(handler) => {
                self.handling.push(Incoming { from, call, payload: Payload::from_cbor(payload), handler });
                while let Some(input) = self.handling.start() {
                    self.caused.push_back(input);
                }
            }
            None => {
                self.caused.push_back(Input::Consumed { from, bytes: payload.len(), lossy: false });
                self.caused.push_back(Input::Reply { to: from, call, answer: no_handler(method) });
            }
        }
    }

    fn joined(&mut self, joined: Joined) {
        self.application.0.update(|view| {
            view.this = joined.this;
            view.members = joined.members.into_iter().map(|member| (member.id, member)).collect();
            view.topology = joined.topology;
            view.pin = joined.pin;
            view.admin = joined.admin;
            let set = joined.state.into_iter().filter(|(_, entry)| !entry.value.is_null());
            view.state = set.map(|(key, entry)| (key, entry.value)).collect();
        });
        if let Some(entering) = self.entering.take() {
            // Where the application does not wait any more, it has dropped the room, and so leaves it.
            let _ = entering.send(Ok(()));
        }
    }

    fn close(&mut self, closed: Closed) {
        if let Some(entering) = self.entering.take() {
            let Closed { code, reason, hint } = closed.clone();
            let _ = entering.send(Err(match code {
                Some(code) => JoinError::Refused { code, message: reason, hint },
                None => JoinError::Unreachable { reason, hint },
            }));
        }
        // From here on nothing can be sent.
        self.application.0.update(|view| view.closed = Some(closed.clone()));
        self.closed = Some(closed);
    }

    /// The farewells go out, to the hub and then to the peers, before the application hears that it is over, and
    /// perhaps ends its process.
    async fn finish(mut self) {
        self.socket.closed().await;
        self.part();
        if let Some(closed) = self.closed.take() {
            self.application.0.close(closed);
        }
    }
}

fn not_entered(failure: &Failure) -> JoinError {
    match failure {
        Failure::Token(reason) => JoinError::Token(reason.clone()),
        other => JoinError::Unreachable {
            reason: other.to_string(),
            hint: "check the address and that a Roomful server runs there".to_owned(),
        },
    }
}

/// The machine takes all commands at once when it leaves.
const _: () = assert!(crate::limits::COMMANDS_MAX < limits::WAITING_SENDS);
