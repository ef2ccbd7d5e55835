//! Made-up people of Brazil: names, e-mail addresses and where they live.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::send::Register;

const FIRST: [&str; 40] = [
    "Ana", "Beatriz", "Bruno", "Caio", "Camila", "Carla", "César", "Clara", "Cláudia", "Daniel",
    "Débora", "Diego", "Eduardo", "Elisa", "Fábio", "Fernanda", "Flávia", "Gabriel", "Helena",
    "Heitor", "Inês", "Igor", "Joana", "João", "José", "Júlia", "Larissa", "Lucas", "Luísa",
    "Marcos", "Mariana", "Miguel", "Natália", "Otávio", "Paula", "Rafael", "Renata", "Sofia",
    "Tiago", "Vitória",
];

const LAST: [&str; 40] = [
    "Almeida",
    "Alves",
    "Andrade",
    "Araújo",
    "Barbosa",
    "Barros",
    "Batista",
    "Borges",
    "Campos",
    "Cardoso",
    "Carvalho",
    "Castro",
    "Correia",
    "Costa",
    "Cunha",
    "Dias",
    "Duarte",
    "Farias",
    "Fernandes",
    "Ferreira",
    "Freitas",
    "Gomes",
    "Gonçalves",
    "Lima",
    "Lopes",
    "Machado",
    "Martins",
    "Mendes",
    "Monteiro",
    "Moreira",
    "Nascimento",
    "Nunes",
    "Oliveira",
    "Pereira",
    "Ramos",
    "Ribeiro",
    "Rocha",
    "Santos",
    "Souza",
    "Teixeira",
];

/// City, state and the first digits of the postal code; the larger ones stand there twice.
const CITIES: [(&str, &str, &str); 20] = [
    ("São Paulo", "SP", "01310"),
    ("São Paulo", "SP", "04571"),
    ("Rio de Janeiro", "RJ", "22041"),
    ("Rio de Janeiro", "RJ", "20031"),
    ("Belo Horizonte", "MG", "30130"),
    ("Belo Horizonte", "MG", "30140"),
    ("Curitiba", "PR", "80010"),
    ("Porto Alegre", "RS", "90010"),
    ("Salvador", "BA", "40020"),
    ("Recife", "PE", "50030"),
    ("Fortaleza", "CE", "60060"),
    ("Brasília", "DF", "70040"),
    ("Goiânia", "GO", "74010"),
    ("Manaus", "AM", "69005"),
    ("Belém", "PA", "66010"),
    ("Florianópolis", "SC", "88010"),
    ("Campinas", "SP", "13010"),
    ("Santos", "SP", "11010"),
    ("Vitória", "ES", "29010"),
    ("Natal", "RN", "59010"),
];

/// A person with an address; `number` keeps e-mail addresses apart.
pub(super) fn person(chance: &mut StdRng, number: u32) -> Register {
    let (first, last) = (pick(&FIRST, chance), pick(&LAST, chance));
    let mail = format!("{}.{}{number}@example.com", plain(first), plain(last));
    at_home(chance, format!("{first} {last}"), mail)
}

/// A shop by its name.
pub(super) fn shop(chance: &mut StdRng, name: &str) -> Register {
    let mail = format!("loja@{}.example.com", plain(name).replace(' ', "-"));
    at_home(chance, name.to_owned(), mail)
}

fn at_home(chance: &mut StdRng, name: String, email: String) -> Register {
    let (city, state, zip_prefix) = pick(&CITIES, chance);
    Register {
        name: Some(name),
        email: Some(email),
        city: Some(city.to_owned()),
        state: Some(state.to_owned()),
        zip_prefix: Some(zip_prefix.to_owned()),
    }
}

/// One of `all`, each as likely as the others.
pub(super) fn pick<T: Copy>(all: &[T], chance: &mut StdRng) -> T {
    *all.choose(chance)
        .expect("the lists of this module are not empty")
}

/// Small letters without accents, as they stand in addresses.
fn plain(text: &str) -> String {
    let plain = |letter| match letter {
        'á' | 'â' | 'ã' | 'Á' => 'a',
        'é' | 'ê' => 'e',
        'í' => 'i',
        'ó' | 'ô' | 'õ' => 'o',
        'ú' => 'u',
        'ç' => 'c',
        other => other.to_ascii_lowercase(),
    };
    text.chars().map(plain).collect()
}

/// Whether something happens that happens in `percent` of all cases.
pub(super) fn happens(chance: &mut StdRng, percent: u32) -> bool {
    chance.random_ratio(percent, 100)
}
