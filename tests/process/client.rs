//! HTTP/1.1 by hand over plain sockets, so that a test can also send what a well-behaved client would not. No wait here lasts
//! longer than [`PATIENCE`], and a wait that fails says what it waited for.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The longest time that a step may take. It takes far less, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A moment by which something must have happened.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(
        clippy::disallowed_methods,
        reason = "sockets and processes live in real time"
    )]
    pub(crate) fn after(span: Duration) -> Self {
        Self(Instant::now() + span)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "sockets and processes live in real time"
    )]
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// A client of the server at an address. It opens a connection for each request.
#[derive(Clone, Copy)]
pub(crate) struct Client(pub(crate) SocketAddr);

impl Client {
    pub(crate) fn sign_up(self, name: &str, password: &str) -> Answer {
        self.ask(&sign_up(name, password))
    }

    pub(crate) fn sign_in(self, name: &str, password: &str) -> Answer {
        self.ask(&sign_in(name, password))
    }

    pub(crate) fn refresh(self, token: &str) -> Answer {
        self.ask(&with_token("POST", "/refresh", token))
    }

    pub(crate) fn log_out(self, token: &str) -> Answer {
        self.ask(&with_token("POST", "/logout", token))
    }

    pub(crate) fn me(self, token: &str) -> Answer {
        self.ask(&with_token("GET", "/me", token))
    }

    /// The answer to `request`. Panics if there is none.
    pub(crate) fn ask(self, request: &str) -> Answer {
        let answer = self.try_ask(request);
        answer.unwrap_or_else(|error| {
            let line = request.lines().next().unwrap_or_default();
            panic!("no answer to {line}: {error}")
        })
    }

    /// The answer to `request`. Fails with the connection's error.
    pub(crate) fn try_ask(self, request: &str) -> io::Result<Answer> {
        let mut connection = self.try_connect()?;
        connection.send(request)?;
        connection.answer()
    }

    pub(crate) fn connect(self) -> Connection {
        self.try_connect().expect("the server accepts connections")
    }

    /// A connection whose client is at `address`, which is one of this machine.
    pub(crate) fn connect_from(self, address: Ipv4Addr) -> io::Result<Connection> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((address, 0).into())?;
            socket.connect(self.0).await?.into_std()
        })?;
        stream.set_nonblocking(false)?;
        Self::connection(stream)
    }

    pub(crate) fn try_connect(self) -> io::Result<Connection> {
        Self::connection(TcpStream::connect_timeout(&self.0, PATIENCE)?)
    }

    fn connection(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection {
            stream,
            unread: Vec::new(),
        })
    }
}

pub(crate) fn sign_up(name: &str, password: &str) -> String {
    let body = json!({"username": name, "password": password}).to_string();
    post_json("/signup", &body)
}

pub(crate) fn sign_in(name: &str, password: &str) -> String {
    let body = json!({"username": name, "password": password}).to_string();
    post_json("/signin", &body)
}

pub(crate) fn post_json(path: &str, body: &str) -> String {
    let length = format!("Content-Length: {}", body.len());
    format!("{}{body}", json_head(path, &["Connection: close", &length]))
}

/// A revocation of `token` (RFC 7009).
pub(crate) fn revoke(token: &str) -> String {
    let body = format!("token={token}");
    format!(
        "POST /revoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The header of a `POST` of JSON to `path`, with these lines added.
pub(crate) fn json_head(path: &str, lines: &[&str]) -> String {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    for line in lines {
        head = head + line + "\r\n";
    }
    head + "\r\n"
}

/// A request without a body, after which the connection is closed.
pub(crate) fn with_token(method: &str, path: &str, token: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
}

/// A request with a body of JSON, after which the connection is closed.
pub(crate) fn with_token_and_json(method: &str, path: &str, token: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// One connection, written to and read from by hand.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What has arrived after the last answer.
    unread: Vec<u8>,
}

impl Connection {
    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(text.as_ref())
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let deadline = Deadline::after(PATIENCE);
        let mut answer = self.read_head(deadline)?;
        let length = answer.header("content-length").map(str::parse::<usize>);
        let length = match length {
            Some(length) => length.map_err(|_| malformed("a Content-Length that is no number"))?,
            None if matches!(answer.status, 100 | 204 | 304) => 0,
            None => return Err(malformed("an answer without a Content-Length")),
        };
        while self.unread.len() < length {
            self.read_more(deadline, "the rest of a body")?;
        }
        let body = self.unread.drain(..length).collect();
        answer.body = String::from_utf8(body).map_err(|_| malformed("a body that is not UTF-8"))?;
        Ok(answer)
    }

    /// The next answer, to a request of the method `HEAD`: no body follows, whatever its Content-Length.
    pub(crate) fn answer_to_head(&mut self) -> io::Result<Answer> {
        self.read_head(Deadline::after(PATIENCE))
    }

    /// Everything that still arrives until the server closes the connection.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            match self.read_more(deadline, "the end of a connection") {
                Ok(()) => {}
                // A server that closes with unread bytes resets the connection, which ends it too.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                    ) =>
                {
                    return Ok(std::mem::take(&mut self.unread));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read_head(&mut self, deadline: Deadline) -> io::Result<Answer> {
        let end = loop {
            let end = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            match end {
                Some(end) => break end,
                None => self.read_more(deadline, "the header of an answer")?,
            }
        };
        let head: Vec<u8> = self.unread.drain(..end + 4).collect();
        let head = String::from_utf8(head).map_err(|_| malformed("a header that is not UTF-8"))?;
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Ok(Answer {
            status: status.ok_or_else(|| malformed("a status line without a status"))?,
            headers: headers
                .collect::<Option<_>>()
                .ok_or_else(|| malformed("a header without a colon"))?,
            body: String::new(),
        })
    }

    fn read_more(&mut self, deadline: Deadline, what: &str) -> io::Result<()> {
        let late = || io::Error::new(ErrorKind::TimedOut, format!("{what} did not come in time"));
        if deadline.is_over() {
            return Err(late());
        }
        self.stream.set_read_timeout(Some(deadline.left()))?;
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                let text = format!("the server closed the connection instead of sending {what}");
                Err(io::Error::new(ErrorKind::UnexpectedEof, text))
            }
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(late()),
            // A suspended machine interrupts a read that has a time limit.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the server sent {what}"))
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of the header `name`, which is written in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The access token in an answer that must hold one.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let token = self.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("no token in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
    }

    /// Asserts that this is `application/problem+json` of RFC 9457 with this status and code.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        self.assert_status(status);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        assert_eq!(self.json()["code"], code, "{self:?}");
        assert_eq!(self.json()["status"], status, "{self:?}");
    }
}

/// The claims of `token`.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a token has three parts");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("a payload is base64url");
    serde_json::from_slice(&payload).expect("a payload is JSON")
}
