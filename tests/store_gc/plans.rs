//! No statement walks through a table that grows with the store, unless what it is for is to list all of it.
//!
//! The statements are read out of the source, and SQLite is asked for its plan of each.

use std::path::Path;

use dlstore_kit::content::Place;
use dlstore_kit::workspace;

/// Statements that look at everything because that is what they are asked for, by how they begin; and tables of
/// which every store has few rows.
const MAY_WALK: &[&str] = &[
    // The collector's graph and its lists.
    "SELECT id, kind, state, born FROM object ORDER BY id",
    "SELECT src, dst FROM edge ORDER BY src, dst",
    "SELECT id, max(set_at, used_at) FROM root",
    "SELECT root, object FROM root_target",
    "SELECT lease, object FROM held",
    "SELECT id, name, note FROM lease",
    // Of what would go: does a row name it that stays?
    "SELECT object, source, tree, facts FROM package",
    "SELECT object, names FROM action",
    "SELECT object, parts FROM pack",
    "SELECT file.id, directory, sha256, file.size, device, inode, mtime_ns, mode, uid, gid FROM file WHERE NOT EXISTS",
    // Asked when a file seems to be nobody's.
    "SELECT 1 FROM object WHERE kind = 4 AND state = 1 AND (file IS NULL",
    "SELECT format, name, packages FROM name ORDER BY",
    "SELECT sha256 FROM file WHERE directory = ?1 ORDER BY sha256",
    // A repair looks for content whose object is gone.
    "SELECT object, raw_size, data FROM tree WHERE object NOT IN",
    "SELECT object, data FROM fact WHERE object NOT IN",
    "SELECT object, source, source_size, decoder, given, tree, facts",
    // Verifying, counting again, listing without a name.
    "SELECT 'root rows'",
    "SELECT kind, state FROM object ORDER BY id",
    "SELECT kind, key FROM object WHERE state <> 2",
    "SELECT s.kind, s.key, d.kind, d.key FROM object d",
    "SELECT name, kind, key FROM object JOIN root_target",
    "SELECT file.id, directory, sha256, file.size, device, inode, mtime_ns, mode, uid, gid FROM file ORDER BY",
    "SELECT format, name FROM name ORDER BY",
    "SELECT name, set_at, used_at, object.kind, object.key FROM root",
    "SELECT name FROM root",
    "SELECT count(*) FROM root",
    "SELECT EXISTS (SELECT 1 FROM object WHERE kind = 1",
    "SELECT name, type, tbl_name, sql FROM sqlite_schema",
    "SELECT name, 0, value FROM counter",
    "DELETE FROM counter",
    "SELECT tree, count(*), max(content_size)",
    "SELECT id, name FROM root ORDER BY",
];

/// Cuts the text literals out of a source file that are statements.
fn statements(source: &str) -> Vec<String> {
    let code: String = source
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |text, line| text + line + "\n");
    let is_statement = |text: &&str| {
        ["SELECT ", "UPDATE ", "DELETE ", "INSERT ", "{SELECT}"].iter().any(|verb| text.starts_with(verb))
    };
    let literals = code.split('"').skip(1).step_by(2).filter(is_statement);
    literals.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn constant(source: &str, name: &str) -> String {
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let start = format!("const {name}: &str = \"");
    let text = source.split_once(&start).map(|(_, rest)| rest.split_once('"').unwrap().0).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn no_statement_walks_through_what_grows() {
    let place = Place::new();
    drop(place.open());
    let index = place.index();
    let directory = workspace::own("src/store/index");
    let mut sources: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Healing and verifying look at whole tables on purpose, and put their statements together.
    sources.retain(|path| {
        !["audit.rs", "survey.rs", "number.rs", "counted.rs", "misfiled.rs"].iter().any(|name| path.ends_with(name))
    });
    sources.sort();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let select = constant(&read(&directory.join("package.rs")), "SELECT");
    let file = constant(&read(&directory.join("object.rs")), "FILE");
    let (mut walks, mut looked) = (Vec::new(), 0);
    for path in sources {
        // Counting everything again is meant to walk, and what statements begin with is none.
        let meant = |text: &String| *text == select || text.starts_with("DELETE FROM content;");
        for text in statements(&read(&path)).into_iter().filter(|text| !meant(text)) {
            let sql = text.replace("{SELECT}", &select).replace("{FILE}", &file);
            let mut query = match index.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) {
                Ok(query) => query,
                Err(error) => panic!("{sql}: {error}"),
            };
            let nothing: Vec<Option<i64>> = vec![None; query.parameter_count()];
            let plan = query.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
            let plan: Vec<String> = plan.map(Result::unwrap).collect();
            looked += 1;
            // All objects of a kind, or all files of a directory, are as many as all rows.
            let is_walk = |step: &&String| {
                step.starts_with("SCAN ") && !step.starts_with("SCAN CONSTANT ROW")
                    || step.ends_with("(kind=?)")
                    || step.ends_with("(directory=?)")
            };
            let walk = plan.iter().find(is_walk);
            if let Some(step) = walk.filter(|_| !MAY_WALK.iter().any(|known| sql.starts_with(known))) {
                walks.push(format!("{step}: {sql} ({})", path.display()));
            }
        }
    }
    assert!(looked > 60, "{looked} statements were found");
    assert_eq!(walks, [] as [String; 0], "{walks:#?}");
}
