"""How the doctor's own smoke model is made, converted and measured; no part of the doctor."""
