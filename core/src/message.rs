//! Error messages that can also be built at compile time, so that a panic of a constant can name
//! the layer and the sizes.

/// Text of at most [`Message::CAPACITY`] bytes; what does not fit is cut off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    bytes: [u8; Message::CAPACITY],
    length: usize,
}

impl Message {
    const CAPACITY: usize = 192;

    /// No text yet.
    pub const fn new() -> Message {
        Message {
            bytes: [0; Message::CAPACITY],
            length: 0,
        }
    }

    /// Appends ASCII text.
    pub const fn text(mut self, text: &str) -> Message {
        let text = text.as_bytes();
        let mut i = 0;
        while i < text.len() && self.length < Message::CAPACITY {
            self.bytes[self.length] = text[i];
            self.length += 1;
            i += 1;
        }
        self
    }

    /// Appends a number in decimal.
    pub const fn number(mut self, number: usize) -> Message {
        let mut scale = 1;
        while number / scale >= 10 {
            scale *= 10;
        }
        while scale > 0 && self.length < Message::CAPACITY {
            self.bytes[self.length] = b'0' + (number / scale % 10) as u8;
            self.length += 1;
            scale /= 10;
        }
        self
    }

    /// Appends rows and columns, as `3 x 5`.
    pub const fn pair(self, [rows, columns]: [usize; 2]) -> Message {
        self.number(rows).text(" x ").number(columns)
    }

    /// The text.
    pub const fn as_str(&self) -> &str {
        let (text, _) = self.bytes.split_at(self.length);
        match core::str::from_utf8(text) {
            Ok(text) => text,
            Err(_) => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn builds_text_and_numbers() {
        let message = Message::new().text("layer ").number(0).text(": ");
        let message = message.pair([10, 907]).text(", ").number(usize::MAX);
        let expected = std::format!("layer 0: 10 x 907, {}", usize::MAX);
        assert_eq!(message.as_str(), expected);
    }

    #[test]
    fn cuts_what_does_not_fit() {
        let long = std::string::String::from_utf8(std::vec![b'a'; 500]).unwrap();
        assert_eq!(Message::new().text(&long).number(7).as_str(), &long[..192]);
    }
}
