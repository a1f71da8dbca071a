//! A second reader of JSON, written from RFC 8259 one byte after the other, which shares no code with the server. It keeps what
//! other readers drop: members in their order, names that stand twice, and numbers as they are written.

/// A value of JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    /// The members in their order.
    Object(Vec<(String, Json)>),
}

/// What a text holds.
#[derive(Debug)]
pub struct Document {
    pub value: Json,
    /// Whether it nests deeper, or has a larger number, than every reader accepts (RFC 8259, section 9).
    pub is_extreme: bool,
}

/// No reader has to accept more.
const DEEPEST: usize = 1000;
const SURELY_READ: usize = 100;

/// Reads `text`. Returns `None` unless it is one value of JSON in UTF-8, without half a surrogate pair.
pub fn read(text: &[u8]) -> Option<Document> {
    let text = std::str::from_utf8(text).ok()?;
    let mut reader = Reader {
        rest: text.as_bytes(),
        depth: 0,
        is_extreme: false,
    };
    reader.skip_space();
    let value = reader.value()?;
    reader.skip_space();
    reader.rest.is_empty().then_some(Document {
        value,
        is_extreme: reader.is_extreme,
    })
}

impl Json {
    /// The value of the member `name`, if there is exactly one.
    pub fn member(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        let mut found = members.iter().filter(|(own, _)| own == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    is_extreme: bool,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Takes `byte` if it is the next one.
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(is_next)..];
        is_next
    }

    fn skip_space(&mut self) {
        while self.rest.first().is_some_and(|byte| b" \t\n\r".contains(byte)) {
            self.rest = &self.rest[1..];
        }
    }

    fn value(&mut self) -> Option<Json> {
        match self.rest.first()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => self.string().map(Json::Text),
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Json>) -> Option<Json> {
        self.depth += 1;
        self.is_extreme |= self.depth > SURELY_READ;
        let value = (self.depth <= DEEPEST).then(|| read(self)).flatten();
        self.depth -= 1;
        value
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        self.rest = self.rest.strip_prefix(word.as_bytes())?;
        Some(value)
    }

    fn object(&mut self) -> Option<Json> {
        self.next()?;
        let mut members = Vec::new();
        self.skip_space();
        if self.eat(b'}') {
            return Some(Json::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.skip_space();
            if !self.eat(b':') {
                return None;
            }
            self.skip_space();
            members.push((name, self.value()?));
            self.skip_space();
            match self.next()? {
                b',' => {}
                b'}' => return Some(Json::Object(members)),
                _ => return None,
            }
        }
    }

    fn list(&mut self) -> Option<Json> {
        self.next()?;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Some(Json::List(items));
        }
        loop {
            self.skip_space();
            items.push(self.value()?);
            self.skip_space();
            match self.next()? {
                b',' => {}
                b']' => return Some(Json::List(items)),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.eat(b'"') {
            return None;
        }
        let mut bytes = Vec::new();
        loop {
            match self.next()? {
                b'"' => return String::from_utf8(bytes).ok(),
                b'\\' => {
                    let c = self.escaped()?;
                    bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=0x1f => return None,
                byte => bytes.push(byte),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => match self.four_digits()? {
                high @ 0xd800..0xdc00 => {
                    let is_pair = self.eat(b'\\') && self.eat(b'u');
                    let low = is_pair.then(|| self.four_digits()).flatten()?;
                    let low = (0xdc00..0xe000).contains(&low).then_some(low)?;
                    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?
                }
                unit => char::from_u32(unit)?,
            },
            _ => return None,
        })
    }

    fn four_digits(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| {
            Some(16 * unit + char::from(self.next()?).to_digit(16)?)
        })
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.rest;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let written = &start[..start.len() - self.rest.len()];
        let written = String::from_utf8(written.to_vec()).ok()?;
        self.is_extreme |= written.parse::<f64>().is_ok_and(|number| number.abs() > 1e300);
        Some(Json::Number(written))
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
        (count > 0).then_some(())
    }
}
