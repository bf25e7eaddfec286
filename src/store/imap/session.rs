//! Opens a session, in steps of which none can be skipped: greeting, TLS, capabilities, login, capabilities again, and one
//! flight that turns QRESYNC on, where there is such a thing, asks who and where we are, and has all that follows
//! deflated. Each step consumes what the one before it made.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

use super::ImapStore;
use super::capability::Capabilities;
use super::connection::{Completion, Connection, Go, Incoming, Reply};
use super::endpoint::{Compression, Endpoint, Link, Login, Mechanism, Protection};
use super::name::{Hierarchy, Names, quoted};
use super::quirks::Quirks;
use super::refusal::words;
use super::response::{Code, LiteralKind, Namespaces, Response, Status, UntaggedStatus};
use super::store::ATTEMPTS;
use super::transport::{Privacy, Transport};
use crate::store::{Cause, Error, Method, Profile, Reach, Retry, mutf7};

/// Opens what `endpoint` describes and logs in.
pub async fn connect(endpoint: &Endpoint) -> Result<ImapStore, Error> {
    let transport = Transport::open(&endpoint.link, endpoint.timeout).await?;
    open(transport, endpoint).await
}

/// The same over a stream that is open already and stands in for what [`Endpoint::link`] would open. TLS is required of
/// it where the link requires it.
pub async fn connect_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    endpoint: &Endpoint,
) -> Result<ImapStore, Error> {
    let transport = Transport::over(Box::new(stream), &endpoint.link, endpoint.timeout).await?;
    open(transport, endpoint).await
}

async fn open(transport: Transport, endpoint: &Endpoint) -> Result<ImapStore, Error> {
    let connection = Connection::new(transport, endpoint.timeout, endpoint.trace.clone());
    let greeted = Greeted::hear(connection).await?;
    let private = greeted.protect(endpoint).await?;
    let authenticated = private.authenticate(endpoint).await?;
    authenticated.survey(endpoint).await
}

/// The server has greeted us. Nothing it says can be relied on unless the connection needs no protection.
struct Greeted {
    connection: Connection,
    greeting: Greeting,
}

struct Greeting {
    status: UntaggedStatus,
    /// Whether it is an ALERT, behind which the greeting proper may follow (`quirks`: alert-before-greeting).
    alert: bool,
    capabilities: Option<Vec<String>>,
    text: String,
}

/// The connection is as private as the configuration demands: a secret may go over it.
struct Private {
    connection: Connection,
    greeting: Greeting,
    protection: String,
}

/// We are somebody.
struct Authenticated {
    connection: Connection,
    capabilities: Capabilities,
    greeting: String,
    protection: String,
    login: String,
}

impl Greeted {
    async fn hear(mut connection: Connection) -> Result<Greeted, Error> {
        let (status, code, text) = match connection.receive().await.map_err(unreachable)? {
            Incoming::Untagged(Response::Untagged { status, code, text }) => (status, code, text),
            _ => return Err(connection.fail(Error::side(Cause::Protocol, "what answers does not greet as IMAP does"))),
        };
        let alert = code.as_ref().is_some_and(|code| code.is("ALERT"));
        let capabilities = match code {
            Some(Code::Capability(capabilities)) => Some(capabilities),
            _ => None,
        };
        match status {
            UntaggedStatus::Ok | UntaggedStatus::PreAuth => {
                Ok(Greeted { connection, greeting: Greeting { status, alert, capabilities, text } })
            }
            _ => Err(connection.fail(Error::side(Cause::Protocol, "what answers does not greet as IMAP does"))),
        }
    }

    async fn protect(self, endpoint: &Endpoint) -> Result<Private, Error> {
        let Greeted { mut connection, mut greeting } = self;
        let encrypted = connection.privacy() == Privacy::Encrypted;
        let protection = match &endpoint.link {
            Link::Tunnel { .. } => "none (tunnel)",
            Link::Tcp { protection: Protection::Plain, .. } => "none",
            Link::Tcp { protection: Protection::Tls(_), .. } if encrypted => "TLS",
            Link::Tcp { protection: Protection::Tls(_), .. } => {
                return Err(connection.fail(Error::side(Cause::Tls, "the connection is not encrypted").for_good()));
            }
            Link::Tcp { host, protection: Protection::StartTls(options), .. } => {
                let offered = ask_for_starttls(&mut connection, &greeting, endpoint).await;
                if let Err(error) = offered {
                    return Err(connection.fail(error));
                }
                let (transport, traffic) = connection.into_transport()?;
                let transport = transport.encrypt(options, host, endpoint.timeout).await?;
                connection = Connection::new(transport, endpoint.timeout, endpoint.trace.clone());
                connection.continue_from(traffic);
                // Whatever was said in the clear may have been said by anybody (RFC 9051 §11.3).
                greeting = Greeting { capabilities: None, text: String::new(), ..greeting };
                "STARTTLS, TLS"
            }
        };
        Ok(Private { connection, greeting, protection: protection.to_owned() })
    }
}

/// Ends with STARTTLS agreed upon, or not at all: it is required, not tried.
async fn ask_for_starttls(connection: &mut Connection, greeting: &Greeting, endpoint: &Endpoint) -> Result<(), Error> {
    let refused = |text: &str| Error::side(Cause::Tls, text).for_good();
    if greeting.status == UntaggedStatus::PreAuth {
        return Err(refused(
            "the server has logged us in before the connection could be encrypted; STARTTLS is required",
        ));
    }
    let offered = match &greeting.capabilities {
        Some(capabilities) => capabilities.clone(),
        None => ask_capabilities(connection).await?,
    };
    if !Capabilities::new(offered, &endpoint.disable_extensions).has("STARTTLS") {
        return Err(refused("the server does not offer STARTTLS, which is required"));
    }
    match connection.run("STARTTLS", |_| {}).await? {
        completion if completion.is_ok() => Ok(()),
        completion => {
            Err(refused(&format!("the server refuses STARTTLS, which is required: {}", words(&completion.text))))
        }
    }
}

async fn ask_capabilities(connection: &mut Connection) -> Result<Vec<String>, Error> {
    let mut offered = Vec::new();
    let completion = connection
        .run("CAPABILITY", |response| {
            if let Response::Capability(capabilities) = response {
                offered = capabilities;
            }
        })
        .await?;
    match completion.is_ok() {
        true => Ok(offered),
        false => Err(connection.fail(Error::side(Cause::Protocol, "the server does not say what it can do"))),
    }
}

/// Who greets with an alert may have more to say, but if not, it waits for us: so it is asked for what any state lets us
/// ask.
async fn behind_alert(connection: &mut Connection, alert: Greeting) -> Result<Greeting, Error> {
    let mut greeting = Greeting { alert: false, ..alert };
    let ticket = connection.queue("CAPABILITY");
    let completion = connection
        .answer(ticket, |incoming| match incoming {
            Incoming::Untagged(Response::Untagged { status, text, .. })
                if matches!(status, UntaggedStatus::Ok | UntaggedStatus::PreAuth) =>
            {
                (greeting.status, greeting.text) = (status, text);
            }
            Incoming::Untagged(Response::Capability(offered)) => greeting.capabilities = Some(offered),
            _ => {}
        })
        .await?;
    match completion.is_ok() {
        true => Ok(greeting),
        false => Err(connection.fail(Error::side(Cause::Protocol, "the server does not say what it can do"))),
    }
}

impl Private {
    async fn authenticate(self, endpoint: &Endpoint) -> Result<Authenticated, Error> {
        let Private { mut connection, mut greeting, protection } = self;
        connection.heed_alerts();
        if greeting.alert && matches!(endpoint.link, Link::Tunnel { .. }) {
            greeting = behind_alert(&mut connection, greeting).await?;
        }
        let (login, offered) = match greeting.status {
            UntaggedStatus::PreAuth => ("preauthenticated", greeting.capabilities),
            _ => log_in(&mut connection, greeting.capabilities, endpoint).await?,
        };
        let offered = match offered {
            Some(offered) => offered,
            None => ask_capabilities(&mut connection).await?,
        };
        let capabilities = Capabilities::new(offered, &endpoint.disable_extensions);
        Ok(Authenticated { connection, capabilities, greeting: greeting.text, protection, login: login.to_owned() })
    }
}

/// Logs in; answers how, and what the server offers now, if it says so with its consent.
async fn log_in(
    connection: &mut Connection,
    offered: Option<Vec<String>>,
    endpoint: &Endpoint,
) -> Result<(&'static str, Option<Vec<String>>), Error> {
    let Some(login) = &endpoint.login else {
        let text = "the server wants a login, and there is no user name in the configuration";
        return Err(connection.fail(Error::side(Cause::Login, text).for_good()));
    };
    let offered = match offered {
        Some(offered) => offered,
        None => ask_capabilities(connection).await?,
    };
    let capabilities = Capabilities::new(offered, &endpoint.disable_extensions);
    let is_offered = |mechanism: &Mechanism| match mechanism {
        Mechanism::Plain => capabilities.has("AUTH=PLAIN"),
        // Every server has the command unless it says that it has not (RFC 9051 §6.2.3).
        Mechanism::Login => !capabilities.has("LOGINDISABLED"),
    };
    let Some(mechanism) = login.mechanisms.iter().copied().find(is_offered) else {
        let offered: Vec<&str> = capabilities.values("AUTH").collect();
        let offered = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
        let text = format!("the server offers none of the ways to log in that are configured; it offers: {offered}");
        return Err(connection.fail(Error::side(Cause::Login, text).for_good()));
    };
    let password = ask_password(login).await.map_err(|error| connection.fail(error))?;
    if login.username.contains('\0') || password.contains('\0') {
        let text = "the user name and the password must not hold NUL";
        return Err(connection.fail(Error::side(Cause::Login, text).for_good()));
    }
    let (name, completion) = match mechanism {
        Mechanism::Plain => ("PLAIN", authenticate_plain(connection, &capabilities, login, &password).await?),
        Mechanism::Login => ("LOGIN", login_command(connection, &capabilities, login, &password).await?),
    };
    match completion {
        completion if !completion.is_ok() => Err(connection.fail(refused_login(&completion))),
        Completion { code: Some(Code::Capability(capabilities)), .. } if !are_injected(&capabilities) => {
            Ok((name, Some(capabilities)))
        }
        _ => Ok((name, None)),
    }
}

/// A proxy that puts its own words into whatever the server says of its capabilities, and into messages, goes on until it
/// has seen the answer to CAPABILITY (`quirks`: capability-injected).
fn are_injected(capabilities: &[String]) -> bool {
    capabilities.iter().any(|name| name == "XAPPLEPUSHSERVICE")
}

/// Asks on a thread of its own: a password may come from a program, or from a person.
async fn ask_password(login: &Login) -> Result<Zeroizing<String>, Error> {
    let source = login.password.clone();
    match tokio::task::spawn_blocking(move || source.password()).await {
        Ok(Ok(password)) => Ok(password),
        Ok(Err(reason)) => Err(Error::side(Cause::Password, reason).for_good()),
        Err(_) => Err(Error::side(Cause::Password, "the source of the password failed").for_good()),
    }
}

/// AUTHENTICATE PLAIN (RFC 4616), with the response at once where the server takes it (SASL-IR, RFC 4959).
async fn authenticate_plain(
    connection: &mut Connection,
    capabilities: &Capabilities,
    login: &Login,
    password: &str,
) -> Result<Completion, Error> {
    let message = Zeroizing::new(format!("\0{}\0{password}", login.username));
    let message = Zeroizing::new(BASE64.encode(message.as_bytes()));
    let ticket = connection.begin();
    connection.text("AUTHENTICATE PLAIN");
    if capabilities.has("SASL-IR") {
        connection.text(" ");
        connection.secret(&message);
        connection.end(ticket);
    } else {
        connection.end(ticket);
        match connection.await_go(ticket).await? {
            Go::Ahead => connection.secret_line(&message),
            Go::Over(completion) => return Ok(completion),
        }
    }
    connection.answer(ticket, |_| {}).await
}

/// The LOGIN command (RFC 9051 §6.2.3). What no quoted string can carry goes as a literal.
async fn login_command(
    connection: &mut Connection,
    capabilities: &Capabilities,
    login: &Login,
    password: &str,
) -> Result<Completion, Error> {
    let ticket = connection.begin();
    connection.text("LOGIN");
    for text in [login.username.as_str(), password] {
        connection.text(" ");
        match quoted(text).map(Zeroizing::new) {
            Some(text) => connection.secret(&text),
            None => {
                let literals = capabilities.literals();
                let announced = connection.announce(ticket, LiteralKind::Text, text.len() as u64, literals).await?;
                if let Go::Over(completion) = announced {
                    return Ok(completion);
                }
                connection.octets(text.as_bytes()).await?;
            }
        }
    }
    connection.end(ticket);
    connection.answer(ticket, |_| {}).await
}

/// A refused login is final, unless the server says that it is a matter of time (RFC 5530). Referrals are not followed:
/// they would send the password to whom the server likes.
fn refused_login(completion: &Completion) -> Error {
    let passing = ["UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"].iter().any(|code| completion.has_code(code));
    let retry = if passing || completion.backoff().is_some() { Retry::Later } else { Retry::Never };
    Error { retry, ..Error::side(Cause::Login, format!("the server refuses the login: {}", words(&completion.text))) }
}

impl Authenticated {
    async fn survey(self, endpoint: &Endpoint) -> Result<ImapStore, Error> {
        let Authenticated { mut connection, capabilities, greeting, protection, login } = self;
        if !capabilities.has("IMAP4REV1") {
            let text = "the server does not speak IMAP4rev1";
            return Err(connection.fail(Error::side(Cause::MissingCapability, text).for_good()));
        }
        let mut commands = Vec::new();
        if capabilities.has("ENABLE") && capabilities.has("QRESYNC") {
            commands.push("ENABLE QRESYNC".to_owned());
        }
        let names = commands.len();
        commands.push(if capabilities.has("NAMESPACE") { "NAMESPACE" } else { "LIST \"\" \"\"" }.to_owned());
        if capabilities.has("ID") {
            commands.push(format!("ID (\"name\" \"interimap\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION")));
        }
        let mut deflation = deflation(&capabilities, endpoint);
        if deflation == Deflation::Offered {
            // The last one: what follows has to wait until it is known whether to deflate it (RFC 4978 §3).
            commands.push("COMPRESS DEFLATE".to_owned());
        }
        let mut attempts = 1;
        let answers = loop {
            let mut answers = Answers::default();
            connection.flight(commands.clone(), |index, reply| answers.take(index, reply)).await?;
            // Where it is refused, COMPRESSIONACTIVE among the reasons, it goes without.
            if deflation == Deflation::Offered && !answers.is_refused(commands.len() - 1) {
                connection.compress()?;
                deflation = Deflation::On;
                commands.pop();
            }
            if attempts == ATTEMPTS || !connection.is_asked_to_wait() {
                break answers;
            }
            attempts += 1;
            connection.rest().await;
        };
        if let Some(error) = answers.refusal(names) {
            return Err(connection.fail(error));
        }
        let mut delimiter = answers.delimiter;
        if answers.namespaces.personal.is_none() && capabilities.has("NAMESPACE") {
            let mut answers = Answers::default();
            connection.run("LIST \"\" \"\"", |response| answers.take(0, Reply::Untagged(response))).await?;
            delimiter = answers.delimiter;
        }
        let hierarchy = hierarchy(endpoint.prefix.as_deref(), &answers.namespaces, delimiter);
        // Only the untagged response says that it is on (RFC 7162 §3.2.3; `quirks`: ok-without-enabled).
        let enabled = answers.enabled.iter().any(|name| name == "QRESYNC");
        let (method, reason) = method(&capabilities, enabled, &endpoint.disable_extensions);
        let server = answers.id.unwrap_or(greeting);
        let quirks = Quirks::of(&server, &capabilities);
        let profile = Profile {
            address: address(&endpoint.link),
            server,
            protection,
            compression: deflation.as_str().to_owned(),
            login,
            method,
            reason,
            capabilities: capabilities.clone().into_set(),
            delimiter: hierarchy.delimiter,
            prefix: hierarchy.prefix.clone(),
        };
        Ok(ImapStore::new(connection, profile, capabilities, Names::new(hierarchy), quirks))
    }
}

/// Whether what crosses the wire is deflated, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deflation {
    On,
    /// It is asked for. Where it stays so, it was refused.
    Offered,
    Unwanted,
    Disabled,
    Lacking,
}

impl Deflation {
    fn as_str(self) -> &'static str {
        match self {
            Deflation::On => "DEFLATE",
            Deflation::Offered => "none (the server offers it and refuses it)",
            Deflation::Unwanted => "none",
            Deflation::Disabled => "none (COMPRESS=DEFLATE is disabled by the configuration)",
            Deflation::Lacking => "none (the server does not offer it)",
        }
    }
}

/// Whether to ask for it. Not before the login, whatever is offered there: a window that held the password must not help
/// to deflate mail that others wrote, as lengths would tell of it.
fn deflation(capabilities: &Capabilities, endpoint: &Endpoint) -> Deflation {
    const NAME: &str = "COMPRESS=DEFLATE";
    let is_disabled = || !Capabilities::new(vec![NAME.to_owned()], &endpoint.disable_extensions).has(NAME);
    match endpoint.compression {
        Compression::Unwanted => Deflation::Unwanted,
        Compression::Wanted if capabilities.has(NAME) => Deflation::Offered,
        Compression::Wanted if is_disabled() => Deflation::Disabled,
        Compression::Wanted => Deflation::Lacking,
    }
}

/// How mailboxes will be observed, and why so.
fn method(capabilities: &Capabilities, enabled: bool, disabled: &[String]) -> (Method, String) {
    let lacking = |name: &str| match disabled.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        true => format!("{name} is disabled by the configuration"),
        false => format!("the server does not offer {name}"),
    };
    if enabled {
        return (Method::Qresync, "the server offers QRESYNC and has turned it on".to_owned());
    }
    let why_not = match (capabilities.has("QRESYNC"), capabilities.has("ENABLE")) {
        (false, _) => lacking("QRESYNC"),
        (true, false) => lacking("ENABLE"),
        (true, true) => "the server does not turn QRESYNC on, though it offers it".to_owned(),
    };
    match capabilities.has("CONDSTORE") {
        true => (Method::Condstore, why_not),
        false => (Method::Full, format!("{why_not}; {}", lacking("CONDSTORE"))),
    }
}

/// What the flight after the login brings.
#[derive(Default)]
struct Answers {
    enabled: Vec<String>,
    namespaces: Namespaces,
    delimiter: Option<char>,
    id: Option<String>,
    /// What was refused, by its place among the commands.
    refusals: Vec<(usize, Completion)>,
}

impl Answers {
    fn take(&mut self, index: usize, reply: Reply) {
        match reply {
            Reply::Untagged(Response::Enabled(names)) => self.enabled.extend(names),
            Reply::Untagged(Response::Namespace(namespaces)) => self.namespaces = namespaces,
            Reply::Untagged(Response::List(list)) => self.delimiter = list.delimiter,
            Reply::Untagged(Response::Id(fields)) => self.id = introduction(&fields),
            Reply::Done(completion) if !completion.is_ok() => self.refusals.push((index, completion)),
            _ => {}
        }
    }

    fn is_refused(&self, command: usize) -> bool {
        self.refusals.iter().any(|(index, _)| *index == command)
    }

    /// Why the session cannot go on: the login was taken back (`quirks`: authenticated-but-not-connected), or it is not
    /// said how mailboxes are named. Not to know that command is fine; to refuse the answer must not look as if there were
    /// no namespace, for all mailboxes would seem to have got other names.
    fn refusal(&self, names: usize) -> Option<Error> {
        let taken_back = self.refusals.iter().map(|(_, refusal)| refusal.refusal(Reach::Side, "to begin"));
        let is_unnamed = |(index, refusal): &&(usize, Completion)| {
            *index == names && (refusal.status != Status::Bad || refusal.backoff().is_some())
        };
        let unnamed = self.refusals.iter().find(is_unnamed);
        let unnamed = unnamed.map(|(_, refusal)| refusal.refusal(Reach::Side, "to say how its mailboxes are named"));
        taken_back.into_iter().find(|error| error.cause == Cause::Login).or(unnamed)
    }
}

/// What the server calls itself: its name and, if it tells, its version.
fn introduction(fields: &[(String, Option<String>)]) -> Option<String> {
    let value = |key: &str| fields.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_deref());
    let name = value("name").filter(|name| !name.is_empty())?;
    Some(match value("version") {
        Some(version) if !version.is_empty() => words(&format!("{name} {version}")).to_owned(),
        _ => words(name).to_owned(),
    })
}

/// A prefix from the configuration is written as a person writes it, one from the server as it stands on the wire.
fn hierarchy(configured: Option<&str>, namespaces: &Namespaces, delimiter: Option<char>) -> Hierarchy {
    let text = |prefix: &Bytes| String::from_utf8_lossy(prefix).into_owned();
    let (offered, delimiter) = match &namespaces.personal {
        Some(namespace) => (text(&namespace.prefix), namespace.delimiter),
        None => (String::new(), delimiter),
    };
    let of_others = namespaces.of_others.iter().map(text).collect();
    let Some(configured) = configured else { return Hierarchy { delimiter, prefix: offered, of_others } };
    let mut prefix = String::from_utf8_lossy(&mutf7::encode(configured)).into_owned();
    if let Some(delimiter) = delimiter.filter(|delimiter| !prefix.is_empty() && !prefix.ends_with(*delimiter)) {
        prefix.push(delimiter);
    }
    Hierarchy { delimiter, prefix, of_others }
}

fn address(link: &Link) -> String {
    let (scheme, host, port, usual) = match link {
        Link::Tunnel { command, .. } => return format!("tunnel: {command}"),
        Link::Tcp { host, port, protection: Protection::Tls(_) } => ("imaps", host, *port, 993),
        Link::Tcp { host, port, .. } => ("imap", host, *port, 143),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    if port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}

/// A connection that ends before anybody has said a word was none.
fn unreachable(error: Error) -> Error {
    match error.cause {
        Cause::ConnectionLost => Error { cause: Cause::Unreachable, ..error },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::imap::response::Namespace;

    #[test]
    fn addresses_are_those_a_person_would_write() {
        let tcp = |host: &str, port, protection| Link::Tcp { host: host.to_owned(), port, protection };
        for (link, text) in [
            (tcp("mail.example.org", 993, Protection::Tls(Default::default())), "imaps://mail.example.org"),
            (tcp("mail.example.org", 1143, Protection::Plain), "imap://mail.example.org:1143"),
            (tcp("::1", 143, Protection::StartTls(Default::default())), "imap://[::1]"),
        ] {
            assert_eq!(address(&link), text);
        }
    }

    #[test]
    fn the_best_method_that_the_server_lets_us_use_is_chosen_and_explained() {
        for (offered, enabled, disabled, chosen, why) in [
            ("ENABLE CONDSTORE QRESYNC", true, "", Method::Qresync, "has turned it on"),
            ("ENABLE CONDSTORE QRESYNC", false, "", Method::Condstore, "does not turn QRESYNC on"),
            ("CONDSTORE QRESYNC", false, "", Method::Condstore, "does not offer ENABLE"),
            ("ENABLE CONDSTORE", false, "", Method::Condstore, "does not offer QRESYNC"),
            (
                "ENABLE CONDSTORE QRESYNC",
                false,
                "qresync",
                Method::Condstore,
                "QRESYNC is disabled by the configuration",
            ),
            ("ENABLE", false, "", Method::Full, "does not offer QRESYNC; the server does not offer CONDSTORE"),
        ] {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let disabled = words(disabled);
            let (method, reason) = method(&Capabilities::new(words(offered), &disabled), enabled, &disabled);
            assert_eq!(method, chosen, "{offered}");
            assert!(reason.contains(why), "{offered}: {reason}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_level() {
        let namespace = |prefix: &'static str| Namespaces {
            personal: Some(Namespace { prefix: prefix.as_bytes().into(), delimiter: Some('.') }),
            ..Namespaces::default()
        };
        for (configured, offered, prefix) in [
            (None, "INBOX.", "INBOX."),
            (Some("INBOX"), "", "INBOX."),
            (Some("INBOX."), "", "INBOX."),
            (Some(""), "INBOX.", ""),
            (Some("Bücher"), "", "B&APw-cher."),
        ] {
            assert_eq!(hierarchy(configured, &namespace(offered), None).prefix, prefix, "{configured:?} {offered}");
        }
    }
}
