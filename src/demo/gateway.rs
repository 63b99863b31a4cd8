//! The two gateways of the demo: their names and addresses.

/// A gateway of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    West,
    East,
}

impl Gateway {
    /// Both gateways.
    pub const BOTH: [Self; 2] = [Self::West, Self::East];

    /// The name of the gateway, which is also that of its network namespace.
    pub const fn name(self) -> &'static str {
        match self {
            Self::West => "west",
            Self::East => "east",
        }
    }

    /// The address of the gateway on the demo's bridge, on which its peer and the server reach it.
    pub const fn address(self) -> &'static str {
        match self {
            Self::West => "10.9.0.2",
            Self::East => "10.9.0.3",
        }
    }

    /// The address of the host behind the gateway.
    pub const fn inner(self) -> &'static str {
        match self {
            Self::West => "10.1.0.1",
            Self::East => "10.2.0.1",
        }
    }

    /// The network behind the gateway.
    pub const fn network(self) -> &'static str {
        match self {
            Self::West => "10.1.0.0/16",
            Self::East => "10.2.0.0/16",
        }
    }
}
