"""Small self-made corpora in CodiEsp's layout: Spanish sentences with diagnoses, their codes and where they stand."""

import random
from pathlib import Path

CONDITIONS = {
    "fiebre": ("r50.9", "fever"),
    "tos seca": ("r05", "dry cough"),
    "cefalea": ("r51", "headache"),
    "neumonía": ("j18.9", "pneumonia"),
    "insuficiencia renal crónica": ("n18.9", "chronic kidney failure"),
    "hipertensión arterial": ("i10", "hypertension"),
    "fractura de cadera": ("s72.009", "hip fracture"),
}
PROCEDURES = {"radiografía de tórax": ("bw03zzz", "chest x-ray"), "biopsia": ("0dbzzzx", "biopsy")}
FRAMES = (
    ("Varón de {} años que acude por {}.", "A {} year old man who came for {}."),
    ("A los {} días presenta {}.", "After {} days he has {}."),
    ("No refiere dolor. Ingresó hace {} horas con {}.", "He reports no pain. Admitted {} hours ago with {}."),
)
IDLE = ("Se pautó reposo y agua.", "Rest and water were advised.")


def write_corpus(folder: Path, documents: int = 30, seed: int = 0) -> Path:
    """Write a corpus, and return its folder."""
    rng = random.Random(seed)
    for name in ("text_files", "text_files_en"):
        (folder / name).mkdir(parents=True)
    codes: dict[str, list[str]] = {"D": [], "P": []}
    evidence = []
    for number in range(documents):
        document, text, english = f"case{number:03}", "", ""
        for kind, letter, known in (("DIAGNOSTICO", "D", CONDITIONS), ("PROCEDIMIENTO", "P", PROCEDURES)):
            for words in rng.sample(sorted(known), 2 if letter == "D" else 1):
                code, translated = known[words]
                frame, english_frame = rng.choice(FRAMES)
                age = rng.randint(2, 90)
                sentence = frame.format(age, words)
                begin = len(text) + sentence.index(words)
                evidence.append(f"{document}\t{kind}\t{code}\t{words}\t{begin} {begin + len(words)}")
                codes[letter].append(f"{document}\t{code}")
                text += f"{sentence} {IDLE[0]}\n"
                english += f"{english_frame.format(age, translated)}\n{IDLE[1]}\n"
        (folder / "text_files" / f"{document}.txt").write_text(text, encoding="utf-8")
        (folder / "text_files_en" / f"{document}.txt").write_text(english, encoding="utf-8")
    for letter, lines in codes.items():
        (folder / f"{folder.name}{letter}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / f"{folder.name}X.tsv").write_text("\n".join(evidence) + "\n", encoding="utf-8")
    return folder
