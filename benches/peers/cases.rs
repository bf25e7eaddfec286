//! The cases of the table, account by account: an account is filled once, copied by each program, and then changed.

use std::time::Instant;

use interimap::mail::Side;

use crate::account::{Account, date};
use crate::arguments::{Arguments, Sizes};
use crate::letters::Letters;
use crate::measure::Figures;
use crate::programs::{Gone, Installed};
use crate::servers::Servers;
use crate::stand::Stand;
use crate::support::imap::Value;
use crate::table::{Goal, Row, Table};
use crate::wire;

const NOTHING_CHANGED: Goal =
    Goal { turns: Some(5), seconds: Some(0.25), down: None, memory_mib: None, share_of_perl: None };

/// Measures the cases that are wanted, and hands over the table of each as soon as it is full.
pub(crate) fn measure(servers: &Servers, programs: &[Installed], arguments: &Arguments, tell: &mut dyn FnMut(Table)) {
    let mut bench = Bench { servers, programs, arguments, sizes: arguments.sizes(), tell };
    bench.many_mailboxes();
    bench.one_large_mailbox();
    bench.first_copy();
    bench.between_mailboxes();
    bench.one_huge_message();
    bench.uids_that_never_were();
}

struct Bench<'a> {
    servers: &'a Servers,
    programs: &'a [Installed],
    arguments: &'a Arguments,
    sizes: Sizes,
    tell: &'a mut dyn FnMut(Table),
}

/// A case that is about to be measured.
struct Case {
    number: u32,
    title: String,
    goal: Goal,
    milliseconds: u64,
}

impl<'a> Bench<'a> {
    fn many_mailboxes(&mut self) {
        if !self.wants_any(&[1, 3, 4, 7, 12]) {
            return;
        }
        let (mailboxes, in_each, far) = (self.sizes.mailboxes, self.sizes.in_each, self.arguments.distance());
        let account = Account::of_many("many", mailboxes, in_each, Letters::usual());
        account.fill(self.servers);
        let stands = self.copy(
            &account,
            &Case {
                number: 7,
                title: format!("First copy: {mailboxes} mailboxes of {in_each} messages, no delay"),
                goal: Goal { seconds: Some(3.0), ..Goal::default() },
                milliseconds: 0,
            },
        );
        let messages = mailboxes * in_each;
        let title = format!("Nothing has changed: {mailboxes} mailboxes, {messages} messages, {far} ms");
        self.after(1, title, NOTHING_CHANGED, &stands, |_, _| ());
        let names = account.names();
        let title = format!("One new message in each of {mailboxes} remote mailboxes, {far} ms");
        let goal = Goal { turns: Some(10), seconds: Some(1.0), ..Goal::default() };
        self.after(3, title, goal, &stands, |stand, _| stand.arrive_remotely(&names, &account.letters));
        let title = format!("One new message in each of {mailboxes} local mailboxes, {far} ms");
        let goal = Goal { turns: Some(10), ..Goal::default() };
        self.after(4, title, goal, &stands, |stand, _| stand.arrive_locally(&names, &account.letters));
        stands.into_iter().for_each(Stand::clear);
        if self.wants(12) {
            self.bare_fetches(&account);
        }
        account.clear(self.servers);
    }

    fn one_large_mailbox(&mut self) {
        if !self.wants_any(&[2, 5]) {
            return;
        }
        let Sizes { large, flagged, .. } = self.sizes;
        let far = self.arguments.distance();
        let account = Account::of_one("large", large, Letters::Short);
        account.fill(self.servers);
        let stands = self.copy_once(&account);
        let goal = Goal { down: Some(1000), ..NOTHING_CHANGED };
        let title = format!("Nothing has changed: one mailbox of {large} messages, {far} ms");
        self.after(2, title, goal, &stands, |_, _| ());
        let title = format!("{flagged} flags changed remotely in a mailbox of {large} messages, {far} ms");
        let goal = Goal { seconds: Some(0.5), down: Some(80_000), ..Goal::default() };
        self.after(5, title, goal, &stands, |stand, round| {
            stand.flag_remotely(flagged, large, if round.is_multiple_of(2) { '+' } else { '-' });
        });
        stands.into_iter().for_each(Stand::clear);
        account.clear(self.servers);
    }

    fn first_copy(&mut self) {
        if !self.wants_any(&[6, 12]) {
            return;
        }
        let (copied, far) = (self.sizes.copied, self.arguments.distance());
        let account = Account::of_one("first", copied, Letters::usual());
        account.fill(self.servers);
        if self.wants(6) {
            let octets: usize = (0..copied).map(|number| account.letters.write(number).len()).sum();
            let what = format!("First copy: one mailbox of {copied} messages, {:.1} MB", octets as f64 / 1e6);
            let goal = Goal { share_of_perl: Some(0.6), ..Goal::default() };
            let case = Case { number: 6, title: format!("{what}, no delay"), goal, milliseconds: 0 };
            let stands = self.copy(&account, &case);
            stands.into_iter().for_each(Stand::clear);
            let case = Case { number: 6, title: format!("{what}, {far} ms"), goal: Goal::default(), milliseconds: far };
            let ours: Vec<_> =
                self.programs.iter().filter(|installed| installed.program.name().starts_with("ours")).collect();
            let stands = self.copy_by(&ours, &account, &case);
            stands.into_iter().for_each(Stand::clear);
        }
        if self.wants(12) {
            self.bare_appends(&account);
        }
        account.clear(self.servers);
    }

    fn between_mailboxes(&mut self) {
        if !self.wants_any(&[8, 9]) {
            return;
        }
        let Sizes { moved, renamed, .. } = self.sizes;
        let far = self.arguments.distance();
        let enough = moved * self.arguments.rounds().max(5);
        let mailboxes =
            [("INBOX", enough), ("Archive", 0), ("kept-0", renamed)].map(|(name, count)| (name.to_owned(), count));
        let account = Account { name: "moved".to_owned(), mailboxes: mailboxes.into(), letters: Letters::usual() };
        account.fill(self.servers);
        let stands = self.copy_once(&account);
        // Some hundred octets to find out who a message is are less than its body of thousands.
        let no_body = |messages: u32| Goal { down: Some(u64::from(messages) * 1_000 + 8_000), ..Goal::default() };
        let title = format!("{moved} messages copied to another mailbox remotely, kept where they were, {far} ms");
        self.after(9, title, no_body(moved), &stands, |stand, _| stand.send_remotely("COPY", moved));
        let title = format!("{moved} messages moved to another mailbox remotely, {far} ms");
        self.after(8, title, no_body(moved), &stands, |stand, _| stand.send_remotely("MOVE", moved));
        let title = format!("A mailbox of {renamed} messages renamed remotely, {far} ms");
        self.after(8, title, no_body(0), &stands, |stand, round| {
            stand.rename_remotely(&format!("kept-{round}"), &format!("kept-{}", round + 1));
        });
        stands.into_iter().for_each(Stand::clear);
        account.clear(self.servers);
    }

    fn one_huge_message(&mut self) {
        if !self.wants(10) {
            return;
        }
        let account = Account::of_one("huge", 1, Letters::Huge(self.sizes.huge));
        account.fill(self.servers);
        let stands = self.copy(
            &account,
            &Case {
                number: 10,
                title: format!("First copy of one message of {} MB, no delay", self.sizes.huge / 1_000_000),
                goal: Goal { memory_mib: Some(64.0), ..Goal::default() },
                milliseconds: 0,
            },
        );
        stands.into_iter().for_each(Stand::clear);
        account.clear(self.servers);
    }

    fn uids_that_never_were(&mut self) {
        if !self.wants(11) {
            return;
        }
        const FIRST: u32 = 1_000_000;
        let vanished = self.sizes.vanished;
        let account = Account::of_one("vanished", 100, Letters::Short);
        account.fill(self.servers);
        let stands: Vec<_> = self
            .copy_once(&account)
            .into_iter()
            .filter(|stand| stand.installed.program.gone() == Gone::Vanished)
            .collect();
        let title = format!(
            "The server says that {vanished} UIDs have vanished that never were; the one new message beyond them, {} ms",
            self.arguments.distance()
        );
        self.after(11, title, Goal { memory_mib: Some(64.0), ..Goal::default() }, &stands, |stand, round| {
            let (first, beyond) = (FIRST + round * vanished, FIRST + (round + 1) * vanished);
            stand.skip_uids_remotely(beyond);
            stand.settle();
            stand.arrive_remotely(&["INBOX"], &account.letters);
            stand.servers.imap.interject(format!("* VANISHED (EARLIER) {first}:{}", beyond - 1));
        });
        stands.into_iter().for_each(Stand::clear);
        account.clear(self.servers);
    }

    /// Lets each program copy the account to an empty local side, again and again; what the last round left remains.
    fn copy(&mut self, account: &Account, case: &Case) -> Vec<Stand<'a>> {
        let all: Vec<_> = self.programs.iter().collect();
        self.copy_by(&all, account, case)
    }

    fn copy_by(&mut self, programs: &[&'a Installed], account: &Account, case: &Case) -> Vec<Stand<'a>> {
        let rounds = if self.wants(case.number) { self.arguments.rounds() } else { 1 };
        let mut rows: Vec<_> = programs.iter().map(|installed| Row::of(installed)).collect();
        let mut stands: Vec<Option<Stand<'a>>> = programs.iter().map(|_| None).collect();
        for round in 0..rounds {
            for at in in_turn(programs.len(), round) {
                if let Some(before) = stands[at].take() {
                    before.clear();
                }
                let stand = Stand::before(self.servers, programs[at], account);
                rows[at].add(stand.run(case.milliseconds));
                stands[at] = Some(stand);
            }
        }
        if self.wants(case.number) {
            (self.tell)(Table { case: case.number, title: case.title.clone(), goal: case.goal, rows });
        }
        stands.into_iter().flatten().collect()
    }

    /// Lets each program copy the account for the cases to come.
    fn copy_once(&mut self, account: &Account) -> Vec<Stand<'a>> {
        let copied = |installed| {
            let stand = Stand::before(self.servers, installed, account);
            stand.run(0);
            stand
        };
        self.programs.iter().map(copied).collect()
    }

    /// Measures the run after a change, which is made to each program's own copy of the account.
    fn after(
        &mut self,
        number: u32,
        title: String,
        goal: Goal,
        stands: &[Stand<'_>],
        change: impl Fn(&Stand<'_>, u32),
    ) {
        if !self.wants(number) {
            return;
        }
        let mut rows: Vec<_> = stands.iter().map(|stand| Row::of(stand.installed)).collect();
        for round in 0..self.arguments.rounds() {
            for at in in_turn(stands.len(), round) {
                stands[at].settle();
                change(&stands[at], round);
                rows[at].add(stands[at].run(self.arguments.distance()));
            }
        }
        (self.tell)(Table { case: number, title, goal, rows });
    }

    /// What the server itself takes for the mail of the first copy: nobody can be faster over as many connections.
    fn bare_appends(&mut self, account: &Account) {
        let copied = self.sizes.copied;
        for connections in [1, 4] {
            let streams: Vec<_> = (0..connections)
                .map(|stream| {
                    let numbers: Vec<_> = (0..copied).filter(|number| number % connections == stream).collect();
                    numbers.chunks(100).map(|numbers| multiappend(account, numbers)).collect::<Vec<_>>()
                })
                .collect();
            let title =
                format!("Bare limit of case 6: the server takes the mail over {connections} connection(s), no delay");
            self.bare(title, "MULTIAPPEND", 0, |user, port| {
                std::thread::scope(|scope| {
                    for said in &streams {
                        scope.spawn(|| wire::converse(port, user, said));
                    }
                });
            });
        }
    }

    /// What asking all mailboxes at once takes: nobody can be faster over one connection.
    fn bare_fetches(&mut self, account: &Account) {
        let mut said = b"a ENABLE QRESYNC\r\n".to_vec();
        let mut client = self.servers.both.remote.witness_of(&account.name);
        for mailbox in account.names() {
            let status = client.run(&format!("STATUS {mailbox} (UIDVALIDITY HIGHESTMODSEQ)"));
            let Some(Value::List(items)) = status[0].last() else { panic!("no STATUS of {mailbox}") };
            let [_, validity, _, modseq] = &items[..] else { panic!("not all of the STATUS of {mailbox}") };
            let select = format!("a SELECT {mailbox} (QRESYNC ({} {}))\r\n", validity.word(), modseq.word());
            said.extend_from_slice(select.as_bytes());
            said.extend_from_slice(b"a FETCH * (UID FLAGS INTERNALDATE BODY.PEEK[])\r\n");
        }
        let far = self.arguments.distance();
        let title = format!("Bare limit of case 3: one message of each mailbox, all asked for at once, {far} ms");
        let (said, name) = ([said], account.name.clone());
        self.bare(title, "SELECT, FETCH", far, |_, port| wire::converse(port, &name, &said));
    }

    /// Measures a conversation that the benchmark leads itself, with a user who has no mail yet.
    fn bare(&mut self, title: String, program: &str, milliseconds: u64, converse: impl Fn(&str, u16)) {
        let mut figures = Vec::new();
        for round in 0..self.arguments.rounds() {
            let user = format!("bare-{round}");
            drop(self.servers.both.remote.witness_of(&user));
            self.servers.move_away(milliseconds);
            let begun = Instant::now();
            converse(&user, self.servers.imap.port());
            let seconds = begun.elapsed().as_secs_f64();
            figures.push(Figures { seconds, peak_kib: None, passage: self.servers.passage() });
            let _ = std::fs::remove_dir_all(self.servers.home(Side::Remote, &user));
        }
        let rows = vec![Row { program: program.to_owned(), is_ours: false, local: None, figures, faults: Vec::new() }];
        (self.tell)(Table { case: 12, title, goal: Goal::default(), rows });
    }

    fn wants(&self, case: u32) -> bool {
        self.arguments.cases.is_empty() || self.arguments.cases.contains(&case)
    }

    fn wants_any(&self, cases: &[u32]) -> bool {
        cases.iter().any(|case| self.wants(*case))
    }
}

/// Those numbered from 0, in the one order and in the other.
fn in_turn(count: usize, round: u32) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}

fn multiappend(account: &Account, numbers: &[u32]) -> Vec<u8> {
    let mut said = b"a APPEND INBOX".to_vec();
    for number in numbers {
        let letter = account.letters.write(*number);
        let head = format!(" (\\Seen) \"{}\" {{{}+}}\r\n", date(*number), letter.len());
        said.extend_from_slice(head.as_bytes());
        said.extend_from_slice(&letter);
    }
    said.extend_from_slice(b"\r\n");
    said
}
