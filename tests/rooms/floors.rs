//! The lists of rooms in docs/ARCHITECTURE.md, held against the code.
//!
//! A list is a fenced block whose first line is ```` ```rooms FOLDER ````. Each line is a floor, from the ground up: names of rooms,
//! and behind `#` a remark. A room is a file or folder of FOLDER, without `.rs`. The folder's own file (`lib.rs`, `main.rs`, `mod.rs`)
//! is above all floors, unless the list names it.

use std::collections::BTreeMap;

use crate::arrows::Arrow;
use crate::names::Rooms;

pub struct Floors {
    pub folder: String,
    /// The floor of each room, from 1; the same room may wrongly stand on several.
    rooms: Vec<(String, usize)>,
}

impl Floors {
    pub fn read(page: &str) -> Vec<Self> {
        let mut lists = Vec::new();
        let mut open: Option<(Self, usize)> = None;
        for line in page.lines() {
            if let Some(folder) = line.strip_prefix("```rooms ") {
                open = Some((Self { folder: folder.trim().to_owned(), rooms: Vec::new() }, 0));
            } else if line.starts_with("```") {
                lists.extend(open.take().map(|(list, _)| list));
            } else if let Some((list, floor)) = &mut open {
                let names = line.split('#').next().unwrap_or_default();
                *floor += usize::from(!names.trim().is_empty());
                list.rooms.extend(
                    names
                        .split_whitespace()
                        .map(|name| (name.trim_end_matches('/').to_owned(), *floor)),
                );
            }
        }
        lists
    }

    /// What is wrong, a line for each; empty if the rooms stand as the list says.
    pub fn compare(&self, rooms: &Rooms, arrows: &[Arrow]) -> String {
        let face = rooms.face.rsplit('/').next().unwrap_or_default();
        let folder = &self.folder;
        let mut text = String::new();
        for name in
            rooms.names.iter().filter(|name| self.rooms.iter().all(|(room, _)| room != *name))
        {
            text += &format!("the list of `{folder}` lacks `{name}`\n");
        }
        for (at, (name, _)) in self.rooms.iter().enumerate() {
            if !rooms.names.contains(name) && name != face {
                text += &format!(
                    "the list of `{folder}` names `{name}`: no such file or folder is there\n"
                );
            }
            if self.rooms[..at].iter().any(|(room, _)| room == name) {
                text += &format!("the list of `{folder}` names `{name}` twice\n");
            }
        }
        let floors: BTreeMap<&str, usize> =
            self.rooms.iter().map(|(room, floor)| (room.as_str(), *floor)).collect();
        for arrow in arrows {
            let (Some(from), Some(to)) =
                (self.room(&arrow.from, rooms), self.room(&arrow.to, rooms))
            else {
                continue;
            };
            let floor = |room: &str| {
                floors.get(room).copied().or_else(|| (room == face).then_some(usize::MAX))
            };
            if let (Some(own), Some(other)) = (floor(from), floor(to))
                && from != to
                && own <= other
            {
                let place = if own == other { "beside" } else { "above" };
                text += &format!(
                    "`{from}` names `{to}`, which is {place} it in `{folder}`:\n  {arrow}\n"
                );
            }
        }
        text
    }

    /// The room of a file, if it is in this folder.
    fn room<'a>(&self, file: &'a str, rooms: &Rooms) -> Option<&'a str> {
        if file == rooms.face {
            return file.rsplit('/').next();
        }
        let inside = file.strip_prefix(&self.folder)?.strip_prefix('/')?;
        Some(inside.split('/').next()?.trim_end_matches(".rs"))
    }
}
