//! The ways that streams come by: mending them, and finding better ones.

use super::{
    stream::{Repair, Rescue},
    *,
};

impl Courier {
    /// The other end of a link has everything below `upto`, and that is more than there is here.
    ///
    /// Where the stream has a way it is given time: what is missing is probably about to come by it.
    pub(super) fn want(&mut self, at: usize, s: usize, upto: u64) {
        let has_way = self.has_way(s);
        let stream = &self.streams[s];
        // Whoever was asked for a part of it was asked for all of it.
        if stream.repair.as_ref().is_some_and(|repair| has_way || !repair.asked.is_empty()) {
            return;
        }
        if has_way {
            // Before anything of a stream has come, it is not known how long the plan's tree takes: whoever asks too early is
            // brought it twice, and so is everybody below.
            let patience = if stream.parent.is_none() { limits::GRAFT_FIRST } else { self.lateness.patience() };
            self.miss(s, upto, patience, Vec::new());
        } else if self.links[at].is_sound() && self.links[at].ends_of(s).floor <= self.streams[s].next() {
            self.graft(at, s);
            self.miss(s, upto, limits::GRAFT_AGAIN, vec![at]);
        } else {
            self.miss(s, upto, Micros(0), Vec::new());
        }
    }

    /// Whether a stream has a parent, or is so new that it may yet come along the eager links.
    fn has_way(&self, s: usize) -> bool {
        let stream = &self.streams[s];
        match stream.parent {
            Some(parent) => !self.links[parent].suspect,
            None => !stream.bereft && self.links.iter().any(|(_, link)| link.eager && link.is_sound()),
        }
    }

    /// What comes below `upto` is missing from now on; somebody is asked for it, who was not yet, when patience is over.
    fn miss(&mut self, s: usize, upto: u64, patience: Micros, asked: Vec<usize>) {
        let since = self.now;
        self.repair(s, Repair { upto, since, due: since + patience, asked, tries: 0 });
    }

    fn repair(&mut self, s: usize, repair: Repair) {
        let due = repair.due;
        if let Some(old) = self.streams[s].repair.replace(repair) {
            self.repairs.remove(&(old.due, s));
        }
        self.repairs.insert((due, s));
    }

    /// Chunks came: whatever was waited for may be there.
    pub(super) fn repaired(&mut self, s: usize) {
        let (now, next) = (self.now, self.streams[s].next());
        let Some(repair) = self.streams[s].repair.take_if(|repair| repair.upto <= next) else { return };
        self.repairs.remove(&(repair.due, s));
        self.lateness.sample(now.since(repair.since));
        self.go_direct(s);
        // Others may have got on meanwhile.
        let theirs =
            self.links.iter().filter(|(_, link)| link.is_sound()).map(|(_, link)| link.ends_of(s).theirs).max();
        if let Some(upto) = theirs.filter(|theirs| *theirs > next) {
            self.miss(s, upto, self.lateness.patience(), Vec::new());
        }
    }

    /// In a mesh others bring what is missing, and then the origin goes on: whoever stayed with others would lose what they
    /// cannot keep.
    fn go_direct(&mut self, s: usize) {
        let origin = self.streams[s].id.origin;
        let is_direct = |link: &Link| link.peer == origin && link.is_sound() && link.ends_of(s).pruned;
        let direct = self.links.iter().find(|(_, link)| is_direct(link)).map(|(at, _)| at);
        if let Some(at) = direct.filter(|_| !self.plan.relayed) {
            self.graft(at, s);
        }
    }

    /// What is missing has not come in time: somebody else who has it is asked, the nearest to the origin first.
    pub(super) fn repair_due(&mut self, s: usize) {
        let Some(mut repair) = self.streams[s].repair.take() else { return };
        let (next, origin) = (self.streams[s].next(), self.streams[s].id.origin);
        let has_more = |link: &Link| {
            let ends = link.ends_of(s);
            // An origin in a mesh tells nobody how far it is, and is the one to say that something is lost.
            let may = ends.theirs > next || (!self.plan.relayed && link.peer == origin);
            link.is_sound() && may && ends.floor <= next
        };
        let holders = || self.links.iter().filter(|(_, link)| has_more(link));
        if holders().all(|(at, _)| repair.asked.contains(&at)) {
            repair.asked.clear();
        }
        let untried = holders().filter(|(at, _)| !repair.asked.contains(at));
        let Some(at) = untried.min_by_key(|(_, link)| link.far_over(s).cost()).map(|(at, _)| at) else {
            repair.due = self.now + limits::GRAFT_AGAIN;
            self.repair(s, repair);
            self.settle_gap(s);
            self.sweep_by(self.now + limits::SWEEP_EVERY);
            return;
        };
        self.graft(at, s);
        repair.asked.push(at);
        // Over narrow links what was asked for may take its time: whoever asks everybody gets it from everybody.
        repair.due = self.now + Micros(limits::GRAFT_AGAIN.0 << repair.tries);
        repair.tries = (repair.tries + 1).min(limits::GRAFT_DOUBLINGS);
        self.repair(s, repair);
    }

    /// Somebody lacks what it was asked for: the next who may have it is asked at once.
    pub(super) fn ask_on(&mut self, s: usize) {
        let stream = &self.streams[s];
        let Some(repair) = &stream.repair else { return };
        let may_have = |(at, link): (usize, &Link)| {
            let ends = link.ends_of(s);
            link.is_sound() && ends.theirs > stream.next() && ends.floor <= stream.next() && !repair.asked.contains(&at)
        };
        if repair.due > self.now && self.links.iter().any(may_have) {
            self.repairs.remove(&(repair.due, s));
            self.repairs.insert((self.now, s));
            self.streams[s].repair.iter_mut().for_each(|repair| repair.due = self.now);
        }
    }

    /// Where all who have more lack what is missing here, nobody has it any more. Gives whether that is so.
    pub(super) fn settle_gap(&mut self, s: usize) -> bool {
        let stream = &self.streams[s];
        let next = stream.next();
        // In a mesh an origin keeps what it owes until it can send it, whatever others have let go.
        let origin_lacks = |link: &Link| link.peer == stream.id.origin && link.ends_of(s).floor > next;
        let origin_may = !self.plan.relayed && stream.forget_at.is_none();
        if origin_may && !self.links.iter().any(|(_, link)| origin_lacks(link)) {
            return false;
        }
        // Somebody may have it to whom there will be a link: whoever has left its neighbours behind gets others.
        let since = stream.repair.as_ref().map_or(self.now, |repair| repair.since);
        // So may a neighbour that is no farther itself. In a mesh nobody else need have kept it.
        let may_get = self.links.iter().any(|(_, link)| link.is_sound() && link.ends_of(s).floor <= next);
        // And so may the origin, to which there will be a link where it is asked for.
        let reaches = self.plan.relayed && self.origin_may_have(s);
        let patience = match self.plan.relayed {
            true if self.hopeful || may_get || reaches => limits::GAP_PATIENCE_MAX,
            false if !may_get => Micros(0),
            _ => limits::GAP_PATIENCE,
        };
        let is_asked = |rescue: &Rescue| rescue.since + limits::RESCUE_PATIENCE > self.now;
        let patient = if reaches && stream.rescue.as_ref().is_none_or(is_asked) {
            true
        } else {
            !stream.gave_up && self.now < since + patience
        };
        // Where a stream begins for a newcomer those know who were here before: who lacks it came too late for that.
        let elder_lacks = |link: &Link| {
            let floor = link.ends_of(s).floor;
            link.vouches && floor > next && stream.may_begin_at(floor)
        };
        // Between two who met at a new hub nobody knows it but the origin, to whom a link may come.
        let knows_best = self.hopeful && stream.beginning == Beginning::Anywhere;
        let late = !knows_best && self.links.iter().any(|(_, link)| elder_lacks(link));
        // Of somebody who is gone, what nobody brings in time is lost without further ado.
        if !late && (patient || stream.forget_at.is_some()) {
            return false;
        }
        // The parent may be about to bring it, for as long as what the origin has no more may still be under way.
        let may_bring = stream.lost_below <= next || self.now < since + limits::GAP_PATIENCE_MAX;
        let holders = self.links.iter().filter(|(_, link)| link.open).map(|(at, link)| (at, link.ends_of(s)));
        let holders = holders.filter(|(at, ends)| ends.theirs > next || (may_bring && stream.parent == Some(*at)));
        let floor = holders.map(|(_, ends)| ends.floor).min();
        let Some(floor) = floor.filter(|floor| *floor > next) else { return false };
        // Where a stream begins later than was thought nothing is lost.
        self.streams[s].gave_up |= !self.streams[s].may_begin_at(floor);
        self.give_up_below(s, floor);
        self.drop_repair(s);
        let next = self.streams[s].next();
        let holder = self.links.iter().find(|(_, link)| link.is_sound() && link.ends_of(s).theirs > next);
        if let Some((at, upto)) = holder.map(|(at, link)| (at, link.ends_of(s).theirs)) {
            self.want(at, s, upto);
        }
        true
    }

    /// Looks for what is missing no more. Gives since when it was.
    fn drop_repair(&mut self, s: usize) -> Option<Time> {
        let repair = self.streams[s].repair.take()?;
        self.repairs.remove(&(repair.due, s));
        Some(repair.since)
    }

    /// A link is gone or silent: what came by it must come by another.
    pub(super) fn bereave(&mut self, at: usize) {
        for s in self.streams.places() {
            if self.streams[s].parent == Some(at) {
                self.orphan(at, s);
            }
        }
    }

    /// In a mesh nobody announces anything: a neighbour that could not be asked when streams lost their parents, as it was
    /// silent itself, is asked when it is heard again.
    pub(super) fn ask_for_orphans(&mut self, at: usize) {
        if self.plan.relayed {
            return;
        }
        for s in self.streams.places() {
            let (stream, link) = (&self.streams[s], &self.links[at]);
            let is_lost = stream.kind == Kind::Room && stream.bereft && stream.parent.is_none();
            if is_lost && stream.id.origin != link.peer && link.is_sound() && link.ends_of(s).floor <= stream.next() {
                self.graft(at, s);
            }
        }
    }

    /// Members tell from now on what they have: how long it was missing before, when nobody did, does not count.
    pub(super) fn hope_anew(&mut self) {
        for (_, stream) in self.streams.iter_mut() {
            stream.repair.iter_mut().for_each(|repair| repair.since = self.now);
        }
    }

    /// A stream has lost its parent.
    pub(super) fn orphan(&mut self, at: usize, s: usize) {
        let stream = &mut self.streams[s];
        stream.parent = None;
        stream.bereft = true;
        if stream.kind == Kind::Room && stream.is_active(self.now) {
            self.adopt(s, Some(at));
        }
    }

    /// The best of those who have what this member has of a stream, not from here, so that what follows can come from there.
    fn other_way(&self, at: usize, s: usize) -> Option<usize> {
        let (next, origin) = (self.streams[s].next(), self.streams[s].id.origin);
        let ways = self.links.iter().filter(|(other, link)| {
            let ends = link.ends_of(s);
            let stays = *other != at && link.is_sound() && !link.draining;
            // A newcomer has what came last, and not what is missing here.
            let is_known = ends.floor.max(ends.offered) <= next;
            stays && is_known && self.is_level(*other, s) && !self.pushes(*other, s)
        });
        ways.min_by_key(|(_, link)| (link.peer != origin, link.far_over(s).cost())).map(|(other, _)| other)
    }

    /// A link is to go: whoever has a stream from it looks for another way, and nobody is to depend on it anew. Gives whether
    /// it is of use still: chunks are under way from here, or come by it that nobody else has.
    pub fn drain(&mut self, now: Time, peer: MemberId) -> bool {
        self.now = now;
        let Some(&at) = self.by_peer.get(&peer).filter(|at| self.links[**at].is_sound()) else { return false };
        self.links[at].draining = true;
        let mut is_used = false;
        for s in self.streams.places() {
            let stream = &self.streams[s];
            let ends = self.links[at].ends_of(s);
            if stream.kind == Kind::Room && stream.parent == Some(at) {
                match self.other_way(at, s) {
                    Some(other) if self.plan.relayed && stream.is_active(now) => self.change(other, s),
                    Some(_) => {
                        self.prune(at, s);
                        self.orphan(at, s);
                    }
                    None => {
                        is_used |= now.since(stream.fresh_at) < limits::DRAIN_QUIET;
                        self.measure(s);
                        self.tell_cost(s);
                    }
                }
            } else if matches!(stream.kind, Kind::Own | Kind::Room) && self.pushes(at, s) && !ends.passed_over {
                is_used |= ends.theirs.max(1) < stream.next() && now.since(ends.moved) < limits::STALL_OPEN;
            }
        }
        is_used
    }

    /// A link that was to go stays.
    pub fn drain_no_more(&mut self, peer: MemberId) {
        let Some(&at) = self.by_peer.get(&peer) else { return };
        self.links[at].draining = false;
        for s in self.streams.places() {
            if self.streams[s].parent == Some(at) {
                self.measure(s);
                self.tell_cost(s);
            }
        }
    }

    /// Finds another parent for a stream that lost its own. What was missing before has been for as long.
    pub(super) fn adopt(&mut self, s: usize, but: Option<usize>) {
        let since = self.drop_repair(s);
        self.seek_parent(s, but);
        if let (Some(since), Some(repair)) = (since, &mut self.streams[s].repair) {
            repair.since = since;
        }
    }

    /// Asks a neighbour that is no farther from the origin than this member, so that it does not have the stream from here.
    /// Where none is known, announcements will show one.
    fn seek_parent(&mut self, s: usize, but: Option<usize>) {
        let (cost, origin, next) = (self.streams[s].far.cost(), self.streams[s].id.origin, self.streams[s].next());
        let is_near = |link: &Link| {
            let theirs = link.ends_of(s).far;
            link.peer == origin || !self.plan.relayed || (theirs.is_known() && theirs.cost() <= cost)
        };
        let has_it = |link: &Link| link.is_sound() && !link.draining && link.ends_of(s).floor <= next;
        let others = self.links.iter().filter(|(at, link)| Some(*at) != but && has_it(link));
        let nearest = others.clone().filter(|(_, link)| is_near(link)).min_by_key(|(_, link)| {
            (link.peer != origin, link.far_over(s).cost(), std::cmp::Reverse(link.ends_of(s).theirs))
        });
        let nearest = nearest.map(|(at, link)| (at, link.peer == origin));
        let missing = others.clone().map(|(at, link)| (link.ends_of(s).theirs, at)).max();
        let missing = missing.filter(|(upto, _)| *upto > next);
        let all: Vec<usize> = others.map(|(at, _)| at).collect();
        if !self.plan.relayed && nearest.is_none_or(|(_, is_origin)| !is_origin) {
            // Nobody announces anything in a mesh, and any of them may have lost its own link to the origin: all are
            // asked, and all but the first who sends something are told that they need not.
            all.iter().for_each(|at| self.graft(*at, s));
            // Where none of them has it, it is lost.
            let theirs = self.links.iter().map(|(_, link)| link.ends_of(s).theirs).max();
            if let Some(upto) = theirs.filter(|upto| *upto > next) {
                self.miss(s, upto, limits::GRAFT_AGAIN, all);
            }
            return;
        }
        let nearest = nearest.map(|(at, _)| at);
        match (nearest, missing) {
            (Some(at), missing) => {
                self.graft(at, s);
                if let Some((upto, _)) = missing {
                    self.miss(s, upto, limits::GRAFT_AGAIN, vec![at]);
                }
            }
            (None, Some((upto, at))) => self.want(at, s, upto),
            (None, None) => {}
        }
    }

    /// In a mesh, there is no link to an origin: its stream is asked of somebody else, one who knows where it begins for this
    /// member.
    pub fn detour(&mut self, now: Time, origin: MemberId) {
        self.now = now;
        let Some(&s) = self.by_id.get(&StreamId::room(origin)) else { return };
        if !self.streams[s].has_begun() {
            let knows = |link: &&Link| link.vouches && link.is_sound() && !link.is_unsure;
            // Where one lists what it has, and this stream is not there, that has yet to begin.
            let is_known = self.links.iter().map(|(_, link)| link).any(|link| knows(&link));
            let stream = &mut self.streams[s];
            match stream.beginning {
                Beginning::Before if stream.offered.is_none() && !is_known => return,
                Beginning::Before => stream.meet(),
                _ => stream.begin(),
            }
        }
        if self.streams[s].parent.is_none() {
            self.adopt(s, None);
        }
    }

    /// Somebody announced a chunk before it came: if that happens again and again, the parent's way is slower than it claims.
    pub(super) fn ahead(&mut self, at: usize, s: usize) {
        let ends = self.links[at].ends(s);
        ends.ahead = ends.ahead.saturating_add(1);
        if ends.ahead >= limits::AHEAD_COUNT && self.may_change(at, s) {
            if let Some(old) = self.streams[s].parent {
                let ends = self.links[old].ends(s);
                ends.rests_until = self.now + Micros(limits::SLOW_FOR.0 << ends.slow);
                ends.slow = (ends.slow + 1).min(limits::SLOW_DOUBLINGS);
            }
            self.change(at, s);
        }
    }

    /// Somebody who has as much of a stream tells how far away it is: the best of those who have takes the parent's place
    /// where its way is better.
    pub(super) fn nearer(&mut self, at: usize, s: usize) {
        let ours = self.streams[s].far.cost();
        let cost = |at: usize| self.links[at].far_over(s).cost().saturating_add(limits::IMPROVE_BY_MS);
        if cost(at) >= ours || !self.may_change(at, s) {
            return;
        }
        let places = 0..self.links.end();
        let best =
            places.filter(|at| self.links.get(*at).is_some() && self.may_change(*at, s)).min_by_key(|at| cost(*at));
        if let Some(best) = best {
            self.change(best, s);
        }
    }

    /// The parent tells of a way that is much longer than it was `before`, as where it is about to go: the best of the others
    /// takes its place. Only of those nearer than this member was is it certain that they have nothing from here.
    pub(super) fn evade(&mut self, s: usize, before: Distance) {
        let (ours, before) = (self.streams[s].far.cost(), before.cost());
        if ours < before.saturating_add(limits::COST_NEWS_MS) {
            return;
        }
        let cost = |at: &usize| self.links[*at].far_over(s).cost();
        let may_take = |at: &usize| {
            self.links.get(*at).is_some_and(|link| link.ends_of(s).far.cost() < before)
                && self.could_change(*at, s)
                && cost(at).saturating_add(limits::IMPROVE_BY_MS) < ours
        };
        if let Some(best) = (0..self.links.end()).filter(may_take).min_by_key(cost) {
            self.change(best, s);
        }
    }

    fn may_change(&self, at: usize, s: usize) -> bool {
        self.streams[s].settled_until <= self.now && self.could_change(at, s)
    }

    /// Whether a stream may be asked of a neighbour instead of its parent: of one who has as much, and not from here.
    fn could_change(&self, at: usize, s: usize) -> bool {
        let (stream, link) = (&self.streams[s], &self.links[at]);
        self.plan.relayed
            && stream.parent.is_some_and(|parent| parent != at)
            && link.is_sound()
            && !link.draining
            && link.ends_of(s).rests_until <= self.now
            && self.is_level(at, s)
            && !self.pushes(at, s)
    }

    /// Whether a neighbour has as much of a stream as is here, as its origin has.
    fn is_level(&self, at: usize, s: usize) -> bool {
        let (stream, link) = (&self.streams[s], &self.links[at]);
        link.peer == stream.id.origin || link.ends_of(s).theirs >= stream.next()
    }

    /// Another link becomes the way. The old one is told to stop when the new one is told to go on from here, so that
    /// nothing comes twice but what is under way just then.
    fn change(&mut self, at: usize, s: usize) {
        let stream = &mut self.streams[s];
        stream.settled_until = self.now + limits::IMPROVE_AFTER;
        if let Some(old) = stream.parent.replace(at) {
            self.prune(old, s);
        }
        self.links[at].ends(s).ahead = 0;
        self.graft(at, s);
        self.measure(s);
        self.tell_cost(s);
    }

    /// Where a way has become much better or worse, the neighbours learn it before the next chunk comes: so their ways are
    /// good after seconds, and not after so many messages, of which there may be few.
    pub(super) fn tell_cost(&mut self, s: usize) {
        let (claim, parent) = (self.streams[s].claim(), self.streams[s].parent);
        if !self.plan.relayed {
            return;
        }
        for at in 0..self.links.end() {
            let Some(link) = self.links.get_mut(at).filter(|link| link.open && !link.draining && parent != Some(at))
            else {
                continue;
            };
            if claim.is_great_news_to(link.ends_of(s).told) {
                link.tell(s, self.now + limits::COST_NEWS_DELAY);
            }
        }
    }
}
