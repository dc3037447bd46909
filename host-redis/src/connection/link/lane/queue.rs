//! Who waits for which answers on a lane, and who of them is woken.

use std::{collections::VecDeque, task::Waker};

use ::redis::{RedisError, RedisResult, Value};

/// From so many bytes on, what waits to be sent is worth a system call at once.
const WORTH_SENDING: usize = 16 << 10;

#[derive(Default)]
pub(super) struct Queue {
    /// Commands that nobody has begun to send.
    pub(super) out: Vec<u8>,
    /// Whose answers come next.
    expected: VecDeque<usize>,
    requests: Vec<Request>,
    free: Vec<usize>,
    /// Whom the socket wakes.
    leader: Option<usize>,
    /// A leader whom the socket woke and who did not come: others lead before it.
    absent: Option<usize>,
    /// Who lets others add to what is to be sent before sending it.
    gathering: Option<usize>,
    failed: Option<RedisError>,
}

#[derive(Default)]
struct Request {
    /// Answers that nobody asked for.
    skip: usize,
    lacks: usize,
    values: Vec<Value>,
    error: Option<RedisError>,
    waker: Option<Waker>,
    /// Nobody waits for it any more.
    left: bool,
}

/// What a request that was taken in does next.
pub(super) enum Next {
    /// Goes to the socket.
    Work,
    /// Lets those add theirs who can run now, and is polled again behind them.
    Gather,
    /// Is sent by whoever gathers.
    Wait,
}

impl Queue {
    /// Takes commands in, as a whole.
    ///
    /// # Errors
    /// The connection is lost: nothing was taken in.
    pub(super) fn add(
        &mut self,
        packed: &mut Vec<u8>,
        skip: usize,
        count: usize,
        waker: &Waker,
    ) -> RedisResult<(usize, Next)> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let under_way = !self.expected.is_empty();
        // A large buffer is taken over, and small ones gather in one that stays large.
        if self.out.is_empty() && packed.len() >= WORTH_SENDING {
            std::mem::swap(&mut self.out, packed);
        } else {
            self.out.extend_from_slice(packed);
        }
        let values = Vec::with_capacity(count);
        let request =
            Request { skip, lacks: count, values, waker: Some(waker.clone()), ..Request::default() };
        let place = match self.free.pop() {
            Some(place) => {
                self.requests[place] = request;
                place
            }
            None => {
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.expected.push_back(place);
        // Those who wait already will add to what is to be sent, as soon as their answers are there.
        let next = match self.gathering {
            _ if !under_way || self.out.len() >= WORTH_SENDING => Next::Work,
            Some(_) => Next::Wait,
            None => Next::Gather,
        };
        if let Next::Gather = next {
            self.gathering = Some(place);
        }
        Ok((place, next))
    }

    /// Whoever gathered begins to send. True if it was this one.
    pub(super) fn has_gathered(&mut self, place: usize) -> bool {
        let gathered = self.gathering == Some(place);
        if gathered {
            self.gathering = None;
        }
        gathered
    }

    /// Whether nothing is to be sent and nothing expected.
    pub(super) fn is_idle(&self) -> bool {
        self.expected.is_empty() && self.out.is_empty()
    }

    pub(super) fn is_gathering(&self) -> bool {
        self.gathering.is_some()
    }

    pub(super) fn expects_nothing(&self) -> bool {
        self.expected.is_empty()
    }

    /// Whether all answers of this request are there.
    pub(super) fn has_all(&self, place: usize) -> bool {
        self.requests[place].lacks == 0
    }

    /// Takes an answer for whoever comes next; it is the last one for the request at this place, with this waker.
    pub(super) fn answered(&mut self, value: Value) -> Option<(usize, Waker)> {
        // An answer to nothing belongs to nobody.
        let place = self.expected.front().copied()?;
        let request = &mut self.requests[place];
        if request.skip > 0 {
            request.skip -= 1;
            // What is refused while a transaction is put together keeps it from being executed.
            if let Value::ServerError(error) = value {
                request.error.get_or_insert_with(|| error.into());
            }
            return None;
        }
        request.lacks -= 1;
        if !request.left {
            request.values.push(value);
        }
        if request.lacks > 0 {
            return None;
        }
        self.expected.pop_front();
        Some((place, self.ended(place)?))
    }

    /// Nothing more is expected for it.
    fn ended(&mut self, place: usize) -> Option<Waker> {
        let request = &mut self.requests[place];
        request.lacks = 0;
        if request.left {
            self.free.push(place);
        }
        request.waker.take()
    }

    /// The connection is lost, and with it all answers that are not there yet; who is to be told.
    pub(super) fn fail(&mut self, error: &RedisError) -> Vec<Waker> {
        self.failed.get_or_insert_with(|| error.clone());
        self.out = Vec::new();
        let mut woken = Vec::new();
        while let Some(place) = self.expected.pop_front() {
            self.requests[place].error = Some(error.clone());
            woken.extend(self.ended(place));
        }
        woken
    }

    /// The answers, if all of them are there.
    pub(super) fn collect(&mut self, place: usize) -> Option<RedisResult<Vec<Value>>> {
        if !self.has_all(place) {
            return None;
        }
        let request = std::mem::take(&mut self.requests[place]);
        self.free.push(place);
        Some(request.error.map_or(Ok(request.values), Err))
    }

    /// Whom to wake when the answers are there.
    pub(super) fn waits(&mut self, place: usize, waker: &Waker) {
        match &mut self.requests[place].waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Nobody waits for these answers any more; they are passed over when they come.
    pub(super) fn abandon(&mut self, place: usize) {
        let request = &mut self.requests[place];
        request.waker = None;
        request.values = Vec::new();
        if request.lacks == 0 {
            self.free.push(place);
        } else {
            request.left = true;
        }
    }

    /// The socket wakes this one.
    pub(super) fn leads(&mut self, place: usize) {
        self.leader = Some(place);
        self.absent = self.absent.filter(|absent| *absent != place);
    }

    /// Somebody else has done the leader's work.
    pub(super) fn leader_was_absent(&mut self) {
        self.absent = self.leader.take().or(self.absent);
    }

    /// Somebody stops waiting: who is to lead in his place.
    pub(super) fn leaves(&mut self, place: usize) -> Option<Waker> {
        if self.leader == Some(place) {
            self.leader = None;
        }
        if self.absent == Some(place) {
            self.absent = None;
        }
        self.next_leader()
    }

    /// Who is to be woken to lead, if nobody leads.
    pub(super) fn next_leader(&self) -> Option<Waker> {
        if self.leader.is_some() {
            return None;
        }
        let waker = |place: &usize| self.requests[*place].waker.clone();
        let mut present = self.expected.iter().filter(|place| self.absent != Some(**place));
        present.find_map(waker).or_else(|| self.absent.as_ref().and_then(waker))
    }
}
