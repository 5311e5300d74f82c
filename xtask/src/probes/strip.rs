//! The object without what only a debugger reads; the loader needs code, maps, types and relocations.

use object::build::elf::{Builder, SectionData};

pub fn strip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut object = Builder::read(bytes).map_err(|e| format!("the eBPF object: {e}"))?;
    for section in object.sections.iter_mut() {
        let name = section.name.as_slice();
        let name = name.strip_prefix(b".rel").unwrap_or(name);
        section.delete |= name.starts_with(b".debug_");
    }
    object.delete_orphans();
    // LLVM keeps the names of sections among those of symbols; the writer does not
    let is_of_names = |data: &SectionData| matches!(data, SectionData::SectionString);
    if !object.sections.iter().any(|s| is_of_names(&s.data)) {
        let names = object.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = object::elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    object.set_section_sizes();
    let mut out = Vec::new();
    object
        .write(&mut out)
        .map_err(|e| format!("the eBPF object without debug information: {e}"))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object, ObjectSection};

    #[test]
    fn what_is_for_debuggers_goes_and_the_rest_stays() {
        let mut with = Builder::new(object::Endianness::Little, true);
        with.header.e_type = object::elf::ET_REL;
        for name in ["", ".shstrtab", ".BTF", ".debug_info", ".text"] {
            let section = with.sections.add();
            section.name = name.as_bytes().into();
            section.sh_type = object::elf::SHT_PROGBITS;
            section.data = SectionData::Data((&b"data"[..]).into());
            if name == ".shstrtab" {
                section.sh_type = object::elf::SHT_STRTAB;
                section.data = SectionData::SectionString;
            }
            section.delete = name.is_empty();
        }
        with.set_section_sizes();
        let mut bytes = Vec::new();
        with.write(&mut bytes).unwrap();
        let names = |bytes: &[u8]| -> Vec<String> {
            let file = object::read::elf::ElfFile64::<object::Endianness>::parse(bytes).unwrap();
            file.sections()
                .map(|s| s.name().unwrap().to_owned())
                .collect()
        };
        assert!(names(&bytes).contains(&".debug_info".into()));
        assert_eq!(
            names(&strip(&bytes).unwrap()),
            [".shstrtab", ".BTF", ".text"]
        );
        assert!(strip(b"no object").is_err());
    }
}
